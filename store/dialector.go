package store

import (
	"errors"
	"fmt"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialector is gorm's own for SQLite over the pure-Go driver. Its Translate can't see that driver's private error code.
type dialector struct{ *sqlite.Dialector }

// Translate maps the driver's constraint errors to gorm's.
func (d dialector) Translate(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return gorm.ErrDuplicatedKey
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return gorm.ErrForeignKeyViolated
	}
	return err
}

// openGORM makes gorm over a pool. PrepareStmt stays off: its cache starts a goroutine that never ends. Transactions are
// the writer's, so gorm starts none.
func openGORM(pool gorm.ConnPool) (*gorm.DB, error) {
	db, err := gorm.Open(dialector{&sqlite.Dialector{Conn: pool, DriverName: "sqlite"}}, &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("store: gorm: %w", err)
	}
	return db, nil
}
