package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// told is a page that is a sentence.
type told struct {
	status          int
	title, sentence string
	// again is where to go from here; "" where there is nowhere.
	again string
}

var (
	errNowhere = errors.New("there is no such page")
	errForm    = errors.New("the form is not one of this session")
)

// trouble says in a sentence why somebody does not see what they asked for.
func trouble(err error, person string) told {
	switch {
	case errors.Is(err, errNowhere) || apierrors.IsNotFound(err):
		return told{http.StatusNotFound, "Nothing is here", "There is no such page or object; it may have been deleted a moment ago.", "/"}
	case errors.Is(err, errForm):
		return told{http.StatusForbidden, "That was not done", "The form was not one of this sign-in, or is too old. Go back, load the page again, and try once more.", "/"}
	case apierrors.IsForbidden(err):
		title := "You may not see this"
		if verb := verbOf(err); verb == "patch" || verb == "update" || verb == "create" || verb == "delete" {
			title = "You may not do this"
		}
		return told{http.StatusForbidden, title, refused(err, person), "/"}
	case apierrors.IsUnauthorized(err):
		return told{http.StatusUnauthorized, "Sign in again", "The cluster does not accept this sign-in any more.", "/sign-in"}
	case apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err):
		return told{http.StatusServiceUnavailable, "The cluster is busy", "The API has too much to do just now. Try again in a few seconds.", ""}
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code := http.StatusBadGateway
		if apierrors.IsBadRequest(err) { // a name that none may have, in an address that somebody typed
			code = http.StatusBadRequest
		}
		return told{code, "That did not work", "The API says: " + status.Status().Message, "/"}
	}
	return told{http.StatusServiceUnavailable, "The API does not answer", "The Console cannot reach the cluster's API. What runs on the cluster may still be well. Try again in a few seconds.", ""}
}

// refused says what somebody may not do, in words that they can pass on, and who can allow it.
func refused(err error, person string) string {
	return denied(err, person) + " Whoever administers the cluster can allow it, for instance by a group with the role view."
}

// denied says what somebody may not do.
func denied(err error, person string) string {
	verb, what := verbOf(err), "this"
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		if d := status.Status().Details; d != nil && d.Kind != "" {
			what = d.Kind
			if d.Name != "" {
				what += " " + d.Name
			}
		}
		if namespace := between(status.Status().Message, `in the namespace "`, `"`); namespace != "" {
			what += " in namespace " + namespace
		} else if d := status.Status().Details; status.Status().Reason == metav1.StatusReasonForbidden && (d == nil || d.Name == "") {
			what += " of the whole cluster"
		}
	}
	if verb == "get" {
		verb = "read"
	}
	return fmt.Sprintf("%s may not %s %s.", person, verb, what)
}

// verbOf is what somebody was not allowed to do, "see" where the API does not say.
func verbOf(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		for _, verb := range []string{"list", "get", "watch", "patch", "update", "create", "delete"} {
			if strings.Contains(status.Status().Message, "cannot "+verb+" ") {
				return verb
			}
		}
	}
	return "see"
}

func between(text, before, after string) string {
	_, rest, found := strings.Cut(text, before)
	if !found {
		return ""
	}
	inner, _, _ := strings.Cut(rest, after)
	return inner
}

// values are a query of name and value pairs, without those that are empty.
func values(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v.Encode()
}

// count is a number of things, as people say it.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", thousands(n), many)
}

// thousands writes a number with its digits in groups.
func thousands[N int | uint64](n N) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f') // narrow, and no line breaks there
		}
		b.WriteRune(d)
	}
	return b.String()
}
