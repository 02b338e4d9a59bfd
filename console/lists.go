package console

import (
	"net/http"
	"strconv"
	"strings"

	"craton.dev/craton/console/kube"
)

// perPage is how many rows a page of a list has.
const perPage = 50

// paging is where somebody is in a list. Its links keep what was asked for.
type paging struct {
	Page, Pages          int
	First, Last, Total   int
	Previous, Next, From string
}

func pageOf(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || n < 1 || n > 100_000 {
		return 1
	}
	return n
}

// pages says where the rows of a page are among all of them.
func pages(r *http.Request, rows, total int) paging {
	p := paging{Page: pageOf(r), Total: total}
	skipped := (p.Page - 1) * perPage
	p.First, p.Last = skipped+1, skipped+rows
	if rows == 0 {
		p.First = 0
	}
	if total >= 0 {
		p.Pages = max(1, (total+perPage-1)/perPage)
	}
	if p.Page > 1 {
		p.Previous, p.From = onPage(r, p.Page-1), onPage(r, 1)
	}
	if p.Page < p.Pages {
		p.Next = onPage(r, p.Page+1)
	}
	return p
}

func onPage(r *http.Request, n int) string {
	q := r.URL.Query()
	q.Del("seen")
	q.Set("page", strconv.Itoa(n))
	return r.URL.EscapedPath() + "?" + q.Encode()
}

// part is a page of a list that is all here.
func part[T any](r *http.Request, all []T) ([]T, paging) {
	skip := min(len(all), (pageOf(r)-1)*perPage)
	rows := all[skip:min(len(all), skip+perPage)]
	return rows, pages(r, len(rows), len(all))
}

// mentions tells whether one of the texts has what was looked for, in any case of letters.
func mentions(wanted string, texts ...string) bool {
	wanted = strings.ToLower(strings.TrimSpace(wanted))
	for _, t := range texts {
		if strings.Contains(strings.ToLower(t), wanted) {
			return true
		}
	}
	return false
}

// stateOf makes a mark of what the API's table says of an object.
func stateOf(k kube.Kind, column, text string) *mark {
	var m mark
	switch {
	case k.Name == kube.Events.Name && column == "Type":
		m = state("none", text)
		if text == "Warning" {
			m = state("warn", text)
		}
	case column != "Status" || text == "":
		return nil
	case text == "Running" || text == "Ready" || text == "Active" || text == "Completed" || text == "Complete" || text == "Succeeded":
		m = state("ok", text)
	case strings.HasPrefix(text, "Ready,") || text == "Pending" || text == "ContainerCreating" || text == "Terminating" ||
		strings.HasPrefix(text, "Init:") || text == "PodInitializing" || text == "Unknown" || text == "Suspended":
		m = state("warn", text)
	default:
		m = state("bad", text)
	}
	return &m
}
