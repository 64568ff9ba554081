// Command aura decides credit applications online and keeps the pipeline that does it healthy.
package main

import (
	"context"
	"os"

	"aura/app"
	"aura/app/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		cli.Commands{
			Check: app.Check, Run: app.Run, Migrate: app.Migrate, Doctor: app.Doctor, Train: app.Train, Bench: app.Bench, Demo: app.Demo,
			Query: app.Query, VerifyAudit: app.VerifyAudit, RotateKey: app.RotateKey, NewKey: app.NewKey, ExportModel: app.ExportModel, ImportModel: app.ImportModel,
		}))
}
