package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHash protects the check of a stream, in whatever pieces it comes: whole data with
// their hash pass, and one changed, missing or surplus byte does not.
func TestHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pages := rapid.IntRange(1, 20).Draw(t, "pages")
		text := rapid.SliceOfN(rapid.Byte(), pages*page, pages*page).Draw(t, "data")
		digest := sha256.Sum256(text)
		text = append(text, digest[:]...)
		sizes := rapid.SliceOfN(rapid.IntRange(1, 3000), 1, 10).Draw(t, "pieces")
		check := func(b []byte) (string, error) {
			sum, n := NewHash(), int64(len(b))
			for i := 0; len(b) > 0; i++ {
				size := min(sizes[i%len(sizes)], len(b))
				sum.Write(b[:size])
				b = b[size:]
			}
			return sum.Check(n)
		}
		if got, err := check(text); err != nil || got != fmt.Sprintf("%x", digest) {
			t.Fatalf("whole: %s %v", got, err)
		}
		altered := slices.Clone(text)
		altered[rapid.IntRange(0, len(text)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := check(altered); !errors.Is(err, ErrAltered) {
			t.Errorf("altered: %v", err)
		}
		if _, err := check(text[:rapid.IntRange(0, len(text)-1).Draw(t, "length")]); err == nil {
			t.Error("truncated passes")
		}
		if _, err := check(append(text, 0)); !errors.Is(err, ErrTruncated) {
			t.Errorf("one byte more: %v", err)
		}
	})
}

// TestVerifyRefuses protects that what is no snapshot is called so, with the file's name.
func TestVerifyRefuses(t *testing.T) {
	hashed := func(b []byte) []byte {
		digest := sha256.Sum256(b)
		return append(b, digest[:]...)
	}
	for _, test := range []struct {
		name string
		text []byte
		want string
	}{
		{"empty", nil, "truncated"},
		{"a database without its hash", make([]byte, 8192), "truncated"},
		{"a text", []byte("hello"), "truncated"},
		{"zeros and a wrong hash", make([]byte, 4096+32), "altered"},
		{"zeros and the right hash", hashed(make([]byte, 4096)), "no database of etcd's"},
	} {
		path := filepath.Join(t.TempDir(), "snapshot.db")
		if err := os.WriteFile(path, test.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := Verify(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, error %v, want one with %q and the file", test.name, c, err, test.want)
		}
	}
	if _, err := Verify(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
