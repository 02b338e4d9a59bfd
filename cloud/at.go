package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// At says in which line of a file JSON is wrong.
func At(file string, data []byte, err error) error {
	offset := int64(len(data))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	} else if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = kind.Offset
	}
	return fmt.Errorf("%s:%d: %w", file, 1+bytes.Count(data[:min(int(offset), len(data))], []byte("\n")), err)
}
