package store

import (
	"database/sql"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// QueryResult is what a query returned.
type QueryResult struct {
	Columns []string
	// Rows hold nil, bool, int64, float64 and string; bytes that are no text come as hex, infinity as Inf or
	// -Inf, no number as NaN, times as RFC 3339 in UTC.
	Rows [][]any
	// Truncated says that there was more than the limit, or than may be returned.
	Truncated bool
}

func collect(rows *sql.Rows, limit int) (QueryResult, error) {
	var out QueryResult
	var err error
	if out.Columns, err = rows.Columns(); err != nil {
		return out, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return out, err
	}
	size := 0
	for rows.Next() {
		if len(out.Rows) == limit || size > queryBytes {
			out.Truncated = true
			return out, nil
		}
		row := make([]any, len(out.Columns))
		dst := make([]any, len(row))
		for i := range row {
			dst[i] = &row[i]
		}
		if err := rows.Scan(dst...); err != nil {
			return out, err
		}
		for i, v := range row {
			row[i] = plain(v, types[i].DatabaseTypeName())
			if text, ok := row[i].(string); ok {
				size += len(text)
			}
			size += 16
		}
		out.Rows = append(out.Rows, row)
	}
	return out, rows.Err()
}

// plain makes a value printable.
func plain(v any, typ string) any {
	switch v := v.(type) {
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+") // JSON has no such number
		}
	case time.Time:
		return v.UTC().Format(stampLayout)
	case string:
		if f, err := strconv.ParseFloat(v, 64); typ == "NUMERIC" && err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return hex.EncodeToString(v)
	}
	return v
}
