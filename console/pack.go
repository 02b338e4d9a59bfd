package console

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
)

// Pages are packed: a table of a hundred rows is mostly its markup. What a page says of the
// session, the form's token, is masked anew each time, so that its size tells nothing.

// packers bounds the memory that packing takes: each has a table of half a megabyte.
var packers = func() chan *gzip.Writer {
	c := make(chan *gzip.Writer, 2)
	for range cap(c) {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a right one
		c <- w
	}
	return c
}()

// worthPacking is from how many bytes on it saves packets.
const worthPacking = 1400

// writePage writes a page as its last act, so that an error is the browser's.
func writePage(w http.ResponseWriter, r *http.Request, status int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Encoding")
	if len(page) >= worthPacking && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		page = pack(page)
		h.Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(status)
	_, _ = w.Write(page)
}

// pack waits for no browser, so that nobody waits long for a packer.
func pack(page []byte) []byte {
	packer := <-packers
	defer func() { packers <- packer }()
	var packed bytes.Buffer
	packer.Reset(&packed)
	packer.Write(page) // a buffer takes all
	packer.Close()
	return packed.Bytes()
}
