// Package image makes OCI images out of single files and puts them into a registry's
// storage. An image is the same bytes whenever its files are: no times, no owners, sorted.
//
// It does not build the files and does not keep the registry running.
package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one file of an image.
type File struct {
	// Path in the image, without the leading slash. Its folders are made too.
	Path string
	// From is the file on this host that holds the content; "" where Link is set or
	// where Path ends with a slash: a folder.
	From string
	// Link is a symbolic link's target.
	Link string
	// Mode are the permission bits: 0 means 0755.
	Mode int64
}

// Layer is a tar file on this host's disk.
type Layer struct {
	path string
	hash v1.Hash
	size int64
}

// WriteLayer writes the files as an uncompressed tar file: all pulls are local, and
// compressing would cost more time than it saves.
func WriteLayer(path string, files []File) (*Layer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum, size := sha256.New(), &counter{}
	w := tar.NewWriter(io.MultiWriter(f, sum, size))
	for _, e := range withFolders(files) {
		if err := writeEntry(w, e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return &Layer{path, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, size.n}, nil
}

// Tree returns all files below a folder, for a layer that has them at its root.
func Tree(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		f := File{Path: name, Mode: int64(info.Mode().Perm())}
		if info.Mode()&fs.ModeSticky != 0 {
			f.Mode |= 0o1000
		}
		switch {
		case d.IsDir():
			f.Path += "/"
		case d.Type().IsRegular():
			f.From = at
		case d.Type() == fs.ModeSymlink:
			if f.Link, err = os.Readlink(at); err != nil {
				return err
			}
		default:
			return nil // a device: the container runtime makes those that a container has
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// withFolders adds the folders of the files and sorts all of them.
func withFolders(files []File) []File {
	all := map[string]File{}
	for _, f := range files {
		all[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(strings.TrimSuffix(f.Path, "/")); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; ok {
				continue // a link to a folder stands for it
			}
			if _, ok := all[dir+"/"]; !ok {
				all[dir+"/"] = File{Path: dir + "/"}
			}
		}
	}
	sorted := make([]File, 0, len(all))
	for _, f := range all {
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return sorted
}

func writeEntry(w *tar.Writer, e File) error {
	h := &tar.Header{Name: e.Path, Mode: e.Mode, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if h.Mode == 0 {
		h.Mode = 0o755
	}
	switch {
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
		return w.WriteHeader(h)
	case strings.HasSuffix(e.Path, "/"):
		h.Typeflag = tar.TypeDir
		return w.WriteHeader(h)
	}
	f, err := os.Open(e.From)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// Run is what a container of an image does where its pod does not say.
type Run struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	// User is a number: "" is root.
	User string `json:"user,omitempty"`
}

// IsZero tells whether nothing is said.
func (r Run) IsZero() bool { return len(r.Entrypoint)+len(r.Cmd)+len(r.User) == 0 }

// New makes an image of layers, lowest first.
func New(run Run, layers ...*Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Entrypoint, config.Config.Cmd, config.Config.User = run.Entrypoint, run.Cmd, run.User
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config.Config.WorkingDir = "/"
	return mutate.ConfigFile(img, config)
}

// Named is the same image with its name in it. A container runtime shows two images of the
// same bytes as one with two names: who asks which name a container has, gets either.
func Named(img v1.Image, name string) (v1.Image, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"org.opencontainers.image.ref.name": name}
	return mutate.ConfigFile(img, config)
}

// Remove removes the layer's file.
func (l *Layer) Remove() error { return os.Remove(l.path) }

// The methods below make a *Layer what go-containerregistry calls a layer.

var _ v1.Layer = (*Layer)(nil)

func (l *Layer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l *Layer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l *Layer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l *Layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }
func (l *Layer) Size() (int64, error)                 { return l.size, nil }
func (l *Layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }
