package store

import (
	"context"
	"database/sql"
	"sync"

	"gorm.io/gorm"
)

// prepared is a pool that keeps the statements which gorm reads with: SQLite spends most of a short read on preparing it
// (PostgreSQL's driver keeps its own). They end with the pool.
type prepared struct {
	*sql.DB
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

// mostPrepared bounds the statements kept: gorm writes a text of its own for each length of an IN list.
const mostPrepared = 256

// preparing keeps the statements of a whole pool; what is one connection or transaction stays as it is.
func preparing(pool gorm.ConnPool) gorm.ConnPool {
	db, ok := pool.(*sql.DB)
	if !ok {
		return pool
	}
	return &prepared{DB: db, stmts: map[string]*sql.Stmt{}}
}

// stmt is nil where a text is not to be kept, or can't be prepared: who then asks the pool itself gets the error.
func (p *prepared) stmt(ctx context.Context, text string) *sql.Stmt {
	p.mu.RLock()
	s, full := p.stmts[text], len(p.stmts) >= mostPrepared
	p.mu.RUnlock()
	if s != nil || full {
		return s
	}
	s, err := p.DB.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[text]; first != nil {
		_ = s.Close()
		return first
	}
	p.stmts[text] = s
	return s
}

func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := p.stmt(ctx, text); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, text, args...)
}

func (p *prepared) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if s := p.stmt(ctx, text); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, text, args...)
}
