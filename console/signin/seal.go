package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// sealer encrypts what a browser keeps for the Console, and tells whether it is that.
type sealer struct{ aead cipher.AEAD }

// KeyBytes is the length of the Console's key.
const KeyBytes = 32

// newSealer makes one for a purpose, so that what was sealed for one is nothing to another.
func newSealer(key []byte, purpose string) (sealer, error) {
	if len(key) != KeyBytes {
		return sealer{}, fmt.Errorf("the key for cookies has %d bytes where %d were expected", len(key), KeyBytes)
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "craton console "+purpose, KeyBytes)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

func (s sealer) seal(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, text, nil)), nil
}

// errSeal says no more than that: what is in a cookie is not for logs.
var errSeal = errors.New("a cookie that this Console has not made, or made with another key")

func (s sealer) open(sealed string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return errSeal
	}
	text, err := s.aead.Open(nil, nil, raw, nil)
	if err != nil {
		return errSeal
	}
	return json.Unmarshal(text, into)
}

// A browser keeps 4096 bytes in a cookie, with its name and attributes. A token with many
// groups is longer, so that it is cut.
const (
	cookieBytes = 3800
	mostCookies = 4
)

// The prefix makes browsers refuse the cookie unless it came over TLS, from this very host.
const cookiePrefix = "__Host-craton-"

func setCookie(w http.ResponseWriter, name, value string, seconds int) error {
	if len(value) > cookieBytes*mostCookies {
		return fmt.Errorf("the tokens take %d bytes as cookies, and a browser keeps %d: let the person be in fewer groups", len(value), cookieBytes*mostCookies)
	}
	for i := range mostCookies {
		part := value[min(len(value), i*cookieBytes):min(len(value), (i+1)*cookieBytes)]
		life := seconds
		if part == "" {
			life = -1 // one of an earlier, longer value goes
		}
		http.SetCookie(w, &http.Cookie{
			Name: cookiePrefix + name + "-" + strconv.Itoa(i), Value: part, Path: "/", MaxAge: life,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	return nil
}

func cookie(r *http.Request, name string) string {
	var value string
	for i := range mostCookies {
		c, err := r.Cookie(cookiePrefix + name + "-" + strconv.Itoa(i))
		if err != nil {
			break
		}
		value += c.Value
	}
	return value
}
