package cluster

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The functions here judge one value by itself. They return what is wrong ("" if
// nothing) and what to do about it.

var isLabel = regexp.MustCompile(labelPattern)

// longestName leaves room for "-k8s" in a DNS label.
const longestName = 63 - len("-k8s")

// CheckName says what is wrong with a cluster's name that did not come from a file.
func CheckName(name string) error {
	wrong, hint := checkName(name)
	switch {
	case wrong == "":
		return nil
	case name == "" || strings.HasPrefix(wrong, "has "):
		return fmt.Errorf("the name %q %s: %s", name, wrong, hint)
	}
	return fmt.Errorf("%s: %s", wrong, hint)
}

func checkName(s string) (string, string) {
	switch {
	case s == "":
		return "is empty", "give the cluster a name, for instance demo"
	case len(s) > longestName:
		return fmt.Sprintf("has %d characters, expected at most %d", utf8.RuneCountInString(s), longestName),
			"with -k8s it is the API's name and must fit a DNS label of 63"
	case !isLabel.MatchString(s):
		return fmt.Sprintf("%s is not a DNS label", quote(s)),
			"use lower-case letters, digits and dashes, with a letter or digit at both ends"
	}
	return "", ""
}

func checkSubdomain(s string) (string, string) {
	const hint = "use labels of lower-case letters, digits and dashes with dots between them, for instance cluster.test"
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if len(label) > 63 || !isLabel.MatchString(label) {
			return fmt.Sprintf("%s is not a DNS name", quote(s)), hint
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return fmt.Sprintf("%s is not a DNS name: its last label has digits only", quote(s)), hint
	}
	if len(s) > 253 {
		return fmt.Sprintf("has %d characters, a DNS name at most 253", len(s)), "use a shorter one"
	}
	return "", ""
}

// unusable are networks that no machine, pod or service can be in.
var unusable = []struct{ network, why string }{
	{"0.0.0.0/8", "this host"},
	{"127.0.0.0/8", "loopback"},
	{"169.254.0.0/16", "link-local addresses"},
	{"224.0.0.0/3", "multicast and reserved addresses"},
}

// checkNetwork accepts IPv4 networks whose prefix is between two lengths.
func checkNetwork(shortest, longest int) func(string) (string, string) {
	return func(s string) (string, string) {
		p, fault, hint := parseNetwork(s)
		if fault != "" {
			return fault, hint
		}
		if p.Bits() < shortest || p.Bits() > longest {
			return fmt.Sprintf("%s has a prefix of /%d, expected /%d to /%d", s, p.Bits(), shortest, longest), ""
		}
		for _, u := range unusable {
			// A network that only contains it, such as 0.0.0.0/0, is caught by the overlap check.
			if un := netip.MustParsePrefix(u.network); un.Contains(p.Addr()) && p.Bits() >= un.Bits() {
				return fmt.Sprintf("%s cannot be used: %s is for %s", s, u.network, u.why), "use a private network, for instance one in 10.0.0.0/8"
			}
		}
		return "", ""
	}
}

func checkRegistry(s string) (string, string) {
	_, fault, hint := parseNetwork(s)
	return fault, hint
}

func parseNetwork(s string) (p netip.Prefix, fault, hint string) {
	const example = "for instance 10.32.0.0/16"
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
			return p, fmt.Sprintf("%s is an address, expected a network", s), fmt.Sprintf("write %s/32 for this one address", s)
		} else if err == nil {
			return p, fmt.Sprintf("%s is IPv6, expected an IPv4 network", quote(s)), "clusters are IPv4 only; write one " + example
		}
		return p, fmt.Sprintf("%s is not an IPv4 network", quote(s)), "write ADDRESS/BITS, " + example
	case !p.Addr().Is4():
		return p, fmt.Sprintf("%s is IPv6, expected an IPv4 network", quote(s)), "clusters are IPv4 only; write one " + example
	case p != p.Masked():
		return p, fmt.Sprintf("%s has bits set after its first %d", s, p.Bits()), fmt.Sprintf("write %s", p.Masked())
	}
	return p, "", ""
}

func checkAddress(s string) (string, string) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return fmt.Sprintf("%s is not an IPv4 address", quote(s)), "names cannot be used here; write for instance 192.0.2.53"
	case !a.Is4():
		return fmt.Sprintf("%s is IPv6, expected an IPv4 address", quote(s)), "clusters are IPv4 only"
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
		return fmt.Sprintf("%s is no address that a machine can reach a server at", s), "write the server's own address"
	}
	return "", ""
}

func checkEndpoint(s string) (string, string) {
	const hint = "write https://ADDRESS:PORT, for instance https://192.0.2.10:2379"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return fmt.Sprintf("%s is not a URL", quote(s)), hint
	case u.Scheme != "https":
		return fmt.Sprintf("%s is not https", quote(s)), "etcd holds the cluster's secrets; serve it over TLS and " + hint
	case "https://"+u.Host != s:
		return fmt.Sprintf("%s has more than an address and a port", quote(s)), hint
	}
	if fault, _ := checkAddress(u.Hostname()); fault != "" {
		return fault, "the firewall opens the way to an address; " + hint
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != u.Port() {
		return fmt.Sprintf("%s has no port between 1 and 65535", quote(s)), hint
	}
	return "", ""
}

func checkFile(s string) (string, string) {
	const hint = "write the path of a PEM file"
	if strings.TrimSpace(s) == "" {
		return "names no file", hint
	}
	if strings.ContainsFunc(s, unprintable) {
		return fmt.Sprintf("%s has characters that cannot be seen", quote(s)), hint
	}
	return "", ""
}

var sshKeyTypes = []string{"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}

// checkSSHKey looks at the shape of an authorized_keys line: a type that sshd accepts, and
// data that says the same type. Messages never show the text, as it may be a private key.
func checkSSHKey(s string) (string, string) {
	const hint = "paste the line of a .pub file, for instance of ~/.ssh/id_ed25519.pub"
	if strings.Contains(s, "PRIVATE KEY") {
		return "is a private key, expected a public one", "take the private key out of this file; " + hint
	}
	if strings.ContainsFunc(strings.ReplaceAll(s, "\t", " "), unprintable) {
		return "has several lines or characters that cannot be seen, expected one public key", hint
	}
	words := strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) == 0 || s != strings.TrimLeft(s, " \t") {
		return "is not a line of an authorized_keys file", hint
	}
	if !slices.Contains(sshKeyTypes, words[0]) {
		return "does not start with a key type that is accepted", "expected one of " + strings.Join(sshKeyTypes, ", ") + "; options before the key are not accepted"
	}
	if len(words) < 2 {
		return "has a type but no key", hint
	}
	data, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		return "has a key that is not base64", "it may have been cut off; " + hint
	}
	if len(data) < 4 {
		return "has a key that is cut off", hint
	}
	n := binary.BigEndian.Uint32(data)
	if uint64(n)+4 >= uint64(len(data)) || string(data[4:4+n]) != words[0] {
		return fmt.Sprintf("has a key that is not of the type %s", words[0]), hint
	}
	return "", ""
}

// explainMasters says why an even number of masters is no good.
func explainMasters(n int) (string, string) {
	switch n {
	case 2:
		return "2 masters are less safe than 1: etcd needs a majority, which is both of them, so the loss of either stops the cluster", "use 1, or 3 for high availability"
	case 4:
		return "4 masters are no safer than 3: etcd needs a majority, which is 3 of them, so only one may be lost, as with 3", "use 3, or 5 to survive the loss of two"
	}
	return fmt.Sprintf("%d masters, expected 1, 3 or 5", n), "3 or 5 for high availability"
}

func unprintable(c rune) bool { return !unicode.IsPrint(c) }

// quote shows a found value, cut so that a message stays one short line.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}
