package contract

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"craton.dev/craton/golden"
)

// The statements are what users read: a change of any is reviewed as one.
func TestStatements(t *testing.T) {
	var b strings.Builder
	for _, c := range Clauses() {
		b.WriteString(c.ID + ": " + c.Statement() + "\n")
	}
	golden.Check(t, "statements.golden", b.String())
}

// The table's layout: roles grouped, derived clauses told apart, inferred fields named.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTable(&b, append(Select(Infra, May, ""), Select(Cluster, "", "")...)); err != nil {
		t.Fatal(err)
	}
	if err := WriteTable(&b, Select(Infra, Should, Derived)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "table.golden", b.String())
}

// No statement is a sentence of the document: the project holds its facts only.
func TestStatementsAreNotTheDocuments(t *testing.T) {
	text := document(t)
	if text == "" {
		t.Log("the document isn't at hand: nothing to compare the statements with")
		return
	}
	for _, c := range Clauses() {
		if strings.Contains(text, c.Statement()) || strings.Contains(text, c.Reason) && c.Reason != "" {
			t.Errorf("%s repeats the document", c.ID)
		}
	}
}

// The shape that other tools read: every key of an ingress clause, in this order.
func TestClauseJSON(t *testing.T) {
	clause, _ := ByID("master.ingress.ssh")
	got, err := json.Marshal(clause)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"master.ingress.ssh","role":"master","kind":"ingress","level":"MUST","protocols":["tcp"],"ports":["22"],` +
		`"peers":["user-network"],"purpose":"ssh","condition":"","origin":"document","line":25,` +
		`"statement":"MUST allow tcp 22 from the user network, for ssh","reason":""}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// Every clause survives a round trip, and its lists are never null.
func TestListingJSON(t *testing.T) {
	text, err := json.Marshal(List(Clauses()))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("null")) {
		t.Error("the listing has a null")
	}
	var back Listing
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Error(diff)
	}
	if back.APIVersion != "craton.dev/v1alpha1" || back.Kind != "Contract" || len(back.Clauses) != len(Clauses()) {
		t.Errorf("%s %s with %d clauses", back.APIVersion, back.Kind, len(back.Clauses))
	}
	if text, err := json.Marshal(List(nil)); err != nil || !strings.Contains(string(text), `"clauses":[]`) {
		t.Errorf("no clauses: %s, %v", text, err)
	}
}
