package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"aura/agents/ingestion"
	"aura/mlops/schema"
)

// decideHere sends one application through the pipeline of this process and waits for its decision.
func (a *App) decideHere(ctx context.Context, r schema.Record) error {
	receipts, err := a.parts.Intake.Submit(ctx, true, true, ingestion.Application{Record: r, Source: "bench"})
	if err != nil {
		return err
	}
	<-receipts[0].Wait
	return nil
}

// httpDecider sends one application over HTTP and waits for its decision.
func httpDecider(base, token string, clients int) func(context.Context, schema.Record) error {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return func(ctx context.Context, r schema.Record) error {
		features, err := r.MarshalJSON()
		if err != nil {
			return err
		}
		body := append(append([]byte(`{"features":`), features...), '}')
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/applications", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			err = errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
		}
		return errors.Join(err, resp.Body.Close())
	}
}

// fsyncTimes measures what one synced write of 8 KB costs where the database is, in milliseconds.
func fsyncTimes(dir string) (p50, p99 float64, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync.probe"))
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	times := make([]time.Duration, 300)
	block := make([]byte, 8<<10)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, fmt.Errorf("bench: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, 0, fmt.Errorf("bench: %w", err)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return float64(times[150].Microseconds()) / 1e3, float64(times[297].Microseconds()) / 1e3, nil
}

// cpuTime is the CPU time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
