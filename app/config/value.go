package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// wanted says in words what a value of the type looks like: the remedy of a value that isn't one.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "write a duration with its unit, such as 500ms, 2s or 180d"
	case t == reflect.TypeFor[Document]():
		return "write YAML of the form that config.yaml of the distribution shows"
	case t == reflect.TypeFor[Size]():
		return "write a size such as 64KiB or 1MiB"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "write true or false"
	case reflect.Int, reflect.Uint64:
		return "write a whole number"
	case reflect.Float64:
		return "write a number"
	case reflect.Slice:
		return "write a list such as [model, decision]; in the environment model,decision"
	default:
		return "write a text, in quotes if it looks like something else"
	}
}

// convert turns what a layer holds (a text from flags and the environment, any scalar or list from YAML) into the
// field's type. ok is false where it can't be one.
func convert(raw any, t reflect.Type) (v reflect.Value, ok bool) {
	v = reflect.New(t).Elem()
	text, isText := raw.(string)
	switch {
	case t == reflect.TypeFor[time.Duration]():
		d, good := duration(raw)
		v.SetInt(int64(d))
		return v, good
	case t == reflect.TypeFor[Document]():
		d, good := toDocument(raw)
		v.SetString(string(d))
		return v, good
	case t == reflect.TypeFor[Size]():
		s, err := ParseSize(fmt.Sprint(raw))
		v.SetInt(int64(s))
		return v, err == nil && (isText || isInteger(raw))
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
		return v, isText
	case reflect.Bool:
		b, err := strconv.ParseBool(fmt.Sprint(raw))
		v.SetBool(b)
		_, isBool := raw.(bool)
		return v, err == nil && (isText || isBool)
	case reflect.Int:
		n, err := strconv.ParseInt(number(raw), 10, 64)
		v.SetInt(n)
		return v, err == nil
	case reflect.Uint64:
		n, err := strconv.ParseUint(number(raw), 10, 64)
		v.SetUint(n)
		return v, err == nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(number(raw), 64)
		v.SetFloat(f)
		return v, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	case reflect.Slice:
		list, good := texts(raw)
		v.Set(reflect.ValueOf(list))
		return v, good
	}
	return v, false
}

func isInteger(raw any) bool {
	switch raw.(type) {
	case int, int64, uint64:
		return true
	}
	return false
}

// number gives the decimal text of a number; of anything else a text that no parser takes.
func number(raw any) string {
	switch n := raw.(type) {
	case string:
		return strings.TrimSpace(n)
	case float64:
		return strconv.FormatFloat(n, 'f', -1, 64) // 1e4 is a whole number
	case int, int64, uint64:
		return fmt.Sprint(n)
	}
	return ""
}

func duration(raw any) (time.Duration, bool) {
	text, isText := raw.(string)
	if !isText {
		return 0, raw == 0
	}
	text = strings.TrimSpace(text)
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n > math.MaxInt64/int64(24*time.Hour) || n < 0 {
			return 0, false
		}
		return time.Duration(n) * 24 * time.Hour, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

func texts(raw any) ([]string, bool) {
	var out []string
	switch list := raw.(type) {
	case string:
		for part := range strings.SplitSeq(list, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	case []any:
		for _, item := range list {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			out = append(out, strings.TrimSpace(text))
		}
	default:
		return nil, false
	}
	return out, true
}

// format is the way a value is written in the file, on the command line and in messages.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case Document:
		return x.text()
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case string:
		if x == "" {
			return `""`
		}
		return x
	default:
		return fmt.Sprint(x)
	}
}

// formatDuration leaves out the zero units that time.Duration.String ends with (4320h0m0s).
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
