package image

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are where Debian's loader looks without being told.
var libraryDirs = []string{"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib", "usr/lib64"}

// Closure returns the files of a Debian root file system that its program needs to run:
// itself, its loader and its libraries, with the folder links that they are found by.
func Closure(root, program string) ([]File, error) {
	files := []File{
		{Path: program, From: resolve(root, program)},
		{Path: "lib", Link: "usr/lib"},
		{Path: "lib64", Link: "usr/lib64"},
		{Path: "sbin", Link: "usr/sbin"},
	}
	seen := map[string]bool{}
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		needed, err := needs(resolve(root, queue[0]))
		if err != nil {
			return nil, err
		}
		for _, lib := range needed {
			if seen[lib] {
				continue
			}
			seen[lib] = true
			path, err := find(root, lib)
			if err != nil {
				return nil, fmt.Errorf("%s needs %s: %w", queue[0], lib, err)
			}
			// The loader's name is absolute; a library is looked up by its name alone.
			files = append(files, File{Path: path, From: resolve(root, path)})
			queue = append(queue, path)
		}
	}
	return files, nil
}

// needs lists the libraries that a file names, and its loader.
func needs(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			data := make([]byte, p.Filesz)
			if _, err := p.ReadAt(data, 0); err != nil {
				return nil, err
			}
			libs = append(libs, strings.TrimRight(string(data), "\x00"))
		}
	}
	return libs, nil
}

// find is where the root file system has a library, below /usr.
func find(root, lib string) (string, error) {
	if strings.HasPrefix(lib, "/") { // the loader: /lib64/… on a merged /usr
		path := filepath.Join("usr", lib)
		if _, err := os.Stat(resolve(root, path)); err == nil {
			return path, nil
		}
	}
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, lib)
		if _, err := os.Stat(resolve(root, path)); err == nil {
			return path, nil
		}
	}
	return "", os.ErrNotExist
}

// resolve follows the links of a file as the root file system means them: an absolute
// one starts at its root, not at this host's.
func resolve(root, path string) string {
	for range 8 {
		target, err := os.Readlink(filepath.Join(root, path))
		if err != nil {
			break
		}
		if filepath.IsAbs(target) {
			path = strings.TrimPrefix(target, "/")
			if strings.HasPrefix(path, "lib") {
				path = filepath.Join("usr", path)
			}
		} else {
			path = filepath.Join(filepath.Dir(path), target)
		}
	}
	return filepath.Join(root, path)
}
