package terraform_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"craton.dev/craton/cloud/terraform"
	"craton.dev/craton/packets"
)

// Whatever the bytes, reading ends with groups or with an error that names the file.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../../audit/testdata/*-*.json")
	if err != nil || len(files) < 4 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := terraform.Read("fuzz", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz") {
				t.Errorf("%v names no file", err)
			}
			return
		}
		doc.Rules([]string{"master", "worker"}, nobody)
	})
}

func nobody(string) ([]packets.Range, bool) { return nil, false }

// An address of a plan is found without its indices, also where these hold brackets, quotes
// and dots.
func TestIndices(t *testing.T) {
	const plan = `{"terraform_version": "1", "planned_values": {"root_module": {"child_modules": [{"resources": [
		{"address": "module.a[\"x]y.\\\"z\"].aws_security_group.g[0]", "type": "aws_security_group", "values": {"name": "g"}},
		{"address": "module.a[\"x]y.\\\"z\"].aws_security_group_rule.r[\"k\"]", "type": "aws_security_group_rule", "values": {"type": "ingress", "protocol": "tcp", "from_port": 1, "to_port": 2, "cidr_blocks": ["10.0.0.0/8"]}}]}]}},
		"configuration": {"root_module": {"module_calls": {"a": {"module": {"resources": [
		{"address": "aws_security_group_rule.r", "expressions": {"security_group_id": {"references": ["aws_security_group.g[0].id", "aws_security_group.g[0]", "aws_security_group.g"]}}}]}}}}}}`
	doc, err := terraform.Read("plan", []byte(plan))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Groups) != 1 || len(doc.Groups[0].Rules) != 1 || len(doc.Notes) > 0 {
		t.Errorf("%d groups, %v", len(doc.Groups), doc.Notes)
	}
}
