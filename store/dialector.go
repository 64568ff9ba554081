package store

import (
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// openGORM makes gorm over a pool. PrepareStmt stays off: its cache starts a goroutine that never ends. Transactions are
// the writer's, so gorm starts none.
func openGORM(d dialect, pool gorm.ConnPool) (*gorm.DB, error) {
	db, err := gorm.Open(d.gorm(pool), &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("store: gorm: %w", err)
	}
	return db, nil
}
