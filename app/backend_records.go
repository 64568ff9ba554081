package app

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"aura/app/config"

	"aura/app/cli"
	"aura/store"
	"aura/web/api"
)

// recordsBackend answers for the audit and for people's own queries.
type recordsBackend struct {
	store   *store.Store
	audited func(ok bool)
	keyFile string
}

// Audit implements api.Records. The cursor is the seq of the last record shown.
func (b *recordsBackend) Audit(ctx context.Context, subject string, limit int, cursor string) (api.List[api.AuditEntry], error) {
	before, err := number(cursor)
	if err != nil {
		return api.List[api.AuditEntry]{}, err
	}
	rows, err := b.store.Audit(ctx, store.AuditFilter{Subject: subject}, int64(before), limit+1)
	return listOf(rows, limit, err, auditOf, func(e store.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
}

func auditOf(e store.AuditEntry) api.AuditEntry {
	return api.AuditEntry{
		Seq: e.Seq, At: e.At, Actor: e.Actor, Kind: e.Kind, Subject: e.Subject, Detail: e.Detail, Prev: e.Prev, Hash: e.Hash,
	}
}

// VerifyAudit implements api.Records.
func (b *recordsBackend) VerifyAudit(ctx context.Context) (api.AuditReport, error) {
	r, err := b.store.VerifyRecords(ctx, vouch(b.keyFile))
	if err != nil {
		return api.AuditReport{}, refusal(err)
	}
	report := auditReportOf(r)
	b.audited(report.OK)
	return report, nil
}

func auditReportOf(r store.AuditReport) api.AuditReport {
	return api.AuditReport{
		OK: r.Broken == 0 && r.Row == "", Records: r.Records, Broken: r.Broken, Problem: r.Problem, Head: r.Head,
		Rows: r.Rows, Row: r.Row, Unproven: r.Unproven,
	}
}

// Query implements api.Records.
func (b *recordsBackend) Query(ctx context.Context, sql string, limit int) (api.QueryResult, error) {
	r, err := b.store.ReadOnlyQuery(ctx, sql, limit)
	var refused *store.Refused
	if errors.As(err, &refused) {
		return api.QueryResult{}, api.RefuseFields(api.Field{Field: "sql", Problem: refused.Reason})
	}
	if err != nil {
		return api.QueryResult{}, refusal(err)
	}
	return api.QueryResult{Columns: r.Columns, Rows: r.Rows, Truncated: r.Truncated}, nil
}

// Query runs a read-only query on a store that this process has not opened.
func Query(ctx context.Context, cfg config.Config, sql string, limit int) (api.QueryResult, error) {
	r, err := store.Query(ctx, storeOptions(cfg, slog.New(slog.DiscardHandler)), sql, limit)
	var refused *store.Refused
	switch {
	case errors.As(err, &refused):
		return api.QueryResult{}, cli.Exit(cli.ExitUsage, err, "write one SELECT")
	case errors.Is(err, store.ErrNotFound):
		return api.QueryResult{}, cli.Exit(cli.ExitPrecondition, err, "name the data directory with --data")
	case err != nil:
		return api.QueryResult{}, err
	}
	return api.QueryResult{Columns: r.Columns, Rows: r.Rows, Truncated: r.Truncated}, nil
}

// VerifyAudit tests the audit of a store that this process has not opened. It only reads.
func VerifyAudit(ctx context.Context, cfg config.Config) (api.AuditReport, error) {
	r, err := store.VerifyOf(ctx, storeOptions(cfg, slog.New(slog.DiscardHandler)), vouch(keyFile(cfg)))
	if errors.Is(err, store.ErrNotFound) {
		return api.AuditReport{}, cli.Exit(cli.ExitPrecondition, err, "name the data directory with --data")
	}
	return auditReportOf(r), err
}
