// Package view holds the templates of the Console's pages: layout.html is around all of
// them, each other file is one page. A page has a part "head", which is made once, and a
// part "live", which is made anew when something changes.
//
// They show what they are given. There is no style and no script in them, which the pages'
// security policy would refuse; those are in package assets.
package view

import "embed"

// Files are the templates.
//
//go:embed *.html
var Files embed.FS
