package app

import (
	"context"
	"errors"

	"aura/app/cli"
	"aura/app/config"
)

func Bench(ctx context.Context, loaded config.Loaded, r cli.BenchRequest) (cli.Report, error) {
	return nil, errors.New("bench: being built")
}
