package store

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// stampLayout sorts as text in the order of time, and SQLite's date functions and PostgreSQL's timestamptz read it.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// stamp is a time in a column that SQL's own date functions read; the zero time is NULL.
type stamp time.Time

func stampOf(t time.Time) stamp { return stamp(fromMicros(micros(t))) }

func (s stamp) time() time.Time { return time.Time(s) }

// String is as the column has it, "" for NULL.
func (s stamp) String() string {
	if s.time().IsZero() {
		return ""
	}
	return s.time().UTC().Format(stampLayout)
}

// Value is text for both dialects.
func (s stamp) Value() (driver.Value, error) {
	if s.time().IsZero() {
		return nil, nil
	}
	return s.String(), nil
}

// Scan reads text (SQLite) or a time (PostgreSQL).
func (s *stamp) Scan(src any) error {
	var text string
	switch v := src.(type) {
	case nil:
		*s = stamp{}
		return nil
	case time.Time:
		*s = stamp(v.UTC())
		return nil
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return fmt.Errorf("a timestamp can't be a %T", src)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	*s = stamp(t.UTC())
	return nil
}
