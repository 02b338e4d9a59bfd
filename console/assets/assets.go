// Package assets holds what the Console's pages use beside their text: PatternFly's styles
// (cut down to what the templates use, see scripts/console-assets), htmx, and the Console's
// own styles and script. All of it is served from the Console; nothing comes from elsewhere.
//
// Licences of what others made are in LICENSES.txt.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed *.css *.js *.svg
var files embed.FS

type asset struct {
	path, kind    string
	plain, packed []byte
}

// all are the assets by name. They are packed once.
var all = sync.OnceValue(func() map[string]asset {
	found := map[string]asset{}
	entries, _ := files.ReadDir(".") // it is embedded
	for _, e := range entries {
		plain, _ := files.ReadFile(e.Name())
		sum := sha256.Sum256(plain)
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is a right one
		w.Write(plain)
		w.Close()
		ext := path.Ext(e.Name())
		found[e.Name()] = asset{
			path:  "/assets/" + strings.TrimSuffix(e.Name(), ext) + "-" + hex.EncodeToString(sum[:6]) + ext,
			kind:  mime.TypeByExtension(ext),
			plain: plain, packed: packed.Bytes(),
		}
	}
	return found
})

// Path is where an asset is served. It changes with the asset, so that browsers may keep it
// for good.
func Path(name string) string { return all()[name].path }

// Handler serves them.
func Handler() http.Handler {
	byPath := map[string]asset{}
	for _, a := range all() {
		byPath[a.path] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", a.kind)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(a.packed)
			return
		}
		w.Write(a.plain)
	})
}
