package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// timestampForm is RFC 3339 with a fixed number of digits, so that text lines align and sort.
const timestampForm = "2006-01-02T15:04:05.000000Z"

// lineHandler writes one event per line. slog's own handlers support neither form of the variants: the text handler has no plain
// columns in front, and the JSON handler has the second clock only as a field of the event.
type lineHandler struct {
	json     bool
	identity string
	now      func() (wall time.Time, monotonicNs int64)
	prefix   string
	attrs    []slog.Attr
	out      *lockedWriter
}

// lockedWriter is shared by all handlers derived from one, so that lines are not mixed and stay in order.
type lockedWriter struct {
	sync.Mutex
	io.Writer
}

func newLogger(out io.Writer, format, identity string) *slog.Logger {
	now := func() (time.Time, int64) { return time.Now(), monotonicNs() }
	shared := &lockedWriter{Writer: out}
	return slog.New(&lineHandler{json: format == "json", identity: identity, now: now, out: shared})
}

// monotonicNs returns CLOCK_MONOTONIC. All processes of a machine share this clock and nobody can set it, so it orders their
// lines. Go's own monotonic reading starts anew in each process.
func monotonicNs() int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0 // Cannot happen on Linux; a log line must not end the process.
	}
	return now.Nano()
}

// bridgeKlog brings client-go's log into this log; without it that goes to stderr in another form. The returned context is for
// the elector: its errors are kept, and its progress reports are dropped, since our own events have the same content.
func bridgeKlog(ctx context.Context, log *slog.Logger) context.Context {
	klog.SetSlogLogger(log)
	return klog.NewContext(ctx, logr.FromSlogHandler(errorsOnly{log.Handler()}))
}

type errorsOnly struct{ slog.Handler }

func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h errorsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorsOnly{h.Handler.WithAttrs(attrs)}
}

func (h errorsOnly) WithGroup(name string) slog.Handler { return errorsOnly{h.Handler.WithGroup(name)} }

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, attr := range attrs {
		derived.attrs = append(derived.attrs, flatten(h.prefix, attr)...)
	}
	return &derived
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	derived := *h
	if name != "" {
		derived.prefix += name + "."
	}
	return &derived
}

func (h *lineHandler) Handle(_ context.Context, record slog.Record) error {
	fields := h.attrs[:len(h.attrs):len(h.attrs)]
	record.Attrs(func(attr slog.Attr) bool {
		fields = append(fields, flatten(h.prefix, attr)...)
		return true
	})
	h.out.Lock()
	defer h.out.Unlock()
	// Both clocks are read under the lock: the order of the lines is then the order of their times.
	wall, monotonic := h.now()
	timestamp := wall.UTC().Format(timestampForm)
	level := record.Level.String()
	var line []byte
	if h.json {
		line = jsonLine(append([]slog.Attr{
			slog.String("timestamp", timestamp),
			slog.String("level", level),
			slog.String("message", record.Message),
			slog.String("identity", h.identity),
			slog.Int64("monotonic_ns", monotonic),
		}, fields...))
	} else {
		line = textLine(timestamp, level, record.Message, fields)
	}
	_, err := h.out.Write(line)
	return err
}

// flatten turns groups into names with dots: a reader of the log looks for `a.b`, not for an object in an object.
func flatten(prefix string, attr slog.Attr) []slog.Attr {
	value := attr.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if attr.Key == "" {
			return nil
		}
		return []slog.Attr{{Key: prefix + attr.Key, Value: value}}
	}
	if attr.Key != "" {
		prefix += attr.Key + "."
	}
	var flat []slog.Attr
	for _, member := range value.Group() {
		flat = append(flat, flatten(prefix, member)...)
	}
	return flat
}

func textLine(timestamp, level, message string, fields []slog.Attr) []byte {
	var line bytes.Buffer
	if strings.ContainsFunc(message, unicode.IsControl) {
		message = strconv.Quote(message) // A library's line break must not make two lines of one event.
	}
	fmt.Fprintf(&line, "%s %5s %s", timestamp, level, message)
	for _, field := range fields {
		value := fmt.Sprint(plain(field.Value))
		// A control character would break the line, and a space, a quote or a = would hide where a value ends.
		special := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '=' }
		if value == "" || strings.ContainsFunc(value, special) {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&line, " %s=%s", field.Key, value)
	}
	line.WriteByte('\n')
	return line.Bytes()
}

// jsonLine writes a flat object in the order given, which encoding/json does for no map. Of two fields with one name the first
// one stays: a parser would keep the last, and a field of an event must not hide the line's own.
func jsonLine(fields []slog.Attr) []byte {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	seen := make(map[string]bool, len(fields))
	line.WriteByte('{')
	for _, field := range fields {
		if seen[field.Key] {
			continue
		}
		if len(seen) > 0 {
			line.WriteByte(',')
		}
		seen[field.Key] = true
		encode(&line, encoder, field.Key)
		line.WriteByte(':')
		encode(&line, encoder, plain(field.Value))
	}
	line.WriteString("}\n")
	return line.Bytes()
}

func encode(line *bytes.Buffer, encoder *json.Encoder, value any) {
	if encoder.Encode(value) != nil { // Infinity, for one, has no JSON.
		_ = encoder.Encode(fmt.Sprint(value)) // A string always encodes.
	}
	line.Truncate(line.Len() - 1) // The encoder ends each value with a line break.
}

// plain keeps numbers and booleans, and makes a string of everything else.
func plain(value slog.Value) any {
	switch value.Kind() {
	case slog.KindBool, slog.KindFloat64, slog.KindInt64, slog.KindUint64:
		return value.Any()
	case slog.KindTime:
		return value.Time().UTC().Format(timestampForm)
	default:
		return value.String()
	}
}
