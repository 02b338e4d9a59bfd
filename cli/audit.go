package cli

import (
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/audit"
	"craton.dev/craton/contract"
)

// auditFlags are what a person says about documents.
type auditFlags struct {
	File        string   `json:"-"`
	Sites       string   `json:"-"`
	Roles       []string `json:"roles"`
	Peers       []string `json:"peers"`
	UserNetwork []string `json:"userNetwork"`
	NodeNetwork []string `json:"nodeNetwork"`
	PodNetwork  []string `json:"podNetwork"`
	Interface   string   `json:"interface"`
	APIPort     uint16   `json:"apiPort"`
	FailOn      []string `json:"failOn"`
}

func auditCommand() *cobra.Command {
	var in auditFlags
	cmd := &cobra.Command{
		Use:     "audit FILE...",
		GroupID: groupDesign,
		Short:   "Compare somebody else's firewall rules with the platform document",
		Long: `Reads firewall rules that craton did not write and says which clauses of the platform document
they do not meet (and what will break), what they open that no clause asks for, which of them can
never match, and what it did not understand: that counts as unknown, never as fine.

The kind of a file is seen from its content: rules of nftables (text, or JSON of nft -j list
ruleset), iptables-save, JSON of aws ec2 describe-security-groups, JSON of terraform show -json or
tofu show -json (plan or state) for AWS, Azure, Google and OpenStack. Several files are audited
together. "-" is stdin.

--role says whose rules are whose: names of groups, tags or files, or addresses of a role's
machines. Without it names and the machines that have groups decide, and the report says so.
Without --file only clauses that bind every cluster are asked for; with it, those of that cluster.

Exit code 3 where there is a finding of a kind that --fail-on names.`,
		Example: `  aws ec2 describe-security-groups > groups.json
  craton audit groups.json --role master=sg-0a1 --role worker=sg-0b2 --user-network 10.8.0.0/16 --node-network 10.0.0.0/16
  terraform show -json plan.out | craton audit - -o sarif > craton.sarif
  craton audit master.nft worker.rules --role master=master.nft --role worker=worker.rules --role worker=10.0.1.0/24
  craton audit groups.json --fail-on must,openings`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("audit takes the files to look at: see %s --help", cmd.CommandPath())
			}
			for i, name := range args {
				if slices.Contains(args[:i], name) {
					return usage("%s is named twice: name each file once", name)
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&in.File, "file", "f", "", "a cluster file: ask for the clauses that bind that cluster")
	f.StringVar(&in.Sites, "options", "", "a YAML file with the values of the flags below, for those that are not given (roles, peers, userNetwork, …)")
	f.StringArrayVar(&in.Roles, "role", nil, "ROLE=NAME[,NAME]: whose rules are whose; ROLE is master, worker or infra")
	f.StringArrayVar(&in.Peers, "peer", nil, "PEER=ADDRESS[,ADDRESS]: where a peer is, such as resolvers or load-balancers; a group of the document for machines")
	f.StringSliceVar(&in.UserNetwork, "user-network", nil, "where users are: addresses or networks")
	f.StringSliceVar(&in.NodeNetwork, "node-network", nil, "where machines have their addresses")
	f.StringSliceVar(&in.PodNetwork, "pod-network", nil, "where pods and services have theirs: what a machine's own rules say of these is left out")
	f.StringVar(&in.Interface, "interface", "", "the interface by which other machines reach this one, for a machine's own rules")
	f.Uint16Var(&in.APIPort, "api-port", 0, "the API's port (default 443, as in the contract)")
	f.StringSliceVar(&in.FailOn, "fail-on", audit.Kinds(), "the findings that make exit code 3")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml")
	_ = cmd.MarkFlagFilename("options", "yaml", "yml")
	completeWith(cmd, "fail-on", audit.Kinds()...)
	out := addOutputFlag(cmd, format[*audit.Audit]{"table", audit.WriteTable}, jsonFormat[*audit.Audit](),
		format[*audit.Audit]{"sarif", audit.WriteSARIF}, format[*audit.Audit]{"html", audit.WriteHTML}, yamlFormat[*audit.Audit]())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		opt, err := in.options(cmd)
		if err != nil {
			return err
		}
		var sources []audit.Source
		for _, name := range args {
			data, err := readInput(cmd, name)
			if err != nil {
				return err
			}
			sources = append(sources, audit.Source{Name: name, Data: data})
		}
		// Sets of packets come and go by the million: above this, they are collected sooner.
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(140 << 20))
		a, err := audit.Run(sources, opt)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		if err := out.print(cmd.OutOrStdout(), a); err != nil {
			return err
		}
		if a.Failed(in.FailOn) {
			return difference(nil)
		}
		return nil
	}
	return cmd
}

// options are the flags, and the file's values for those that were not given.
func (in *auditFlags) options(cmd *cobra.Command) (audit.Options, error) {
	var opt audit.Options
	if in.Sites != "" {
		text, err := os.ReadFile(in.Sites)
		if err != nil {
			return opt, usage("cannot read --options: %w", err)
		}
		var file auditFlags
		if err := yaml.UnmarshalStrict(text, &file); err != nil {
			return opt, usage("%s: %w", in.Sites, err)
		}
		in.fill(cmd, file)
	}
	for _, k := range in.FailOn {
		if err := oneOf("--fail-on", k, audit.Kinds()...); err != nil {
			return opt, err
		}
	}
	opt.Interface, opt.APIPort = in.Interface, in.APIPort
	opt.Roles, opt.Peers = map[contract.Role][]string{}, map[contract.Peer][]string{}
	for _, text := range in.Roles {
		role, names, err := assignment("--role", text, "master", "worker", "infra")
		if err != nil {
			return opt, err
		}
		opt.Roles[contract.Role(role)] = append(opt.Roles[contract.Role(role)], names...)
	}
	for _, text := range in.Peers {
		peer, names, err := assignment("--peer", text, "user-network", "load-balancers", "resolvers", "time-servers", "external-etcd", "registries")
		if err != nil {
			return opt, err
		}
		opt.Peers[contract.Peer(peer)] = append(opt.Peers[contract.Peer(peer)], names...)
	}
	if len(in.UserNetwork) > 0 {
		opt.Peers[contract.UserNetwork] = append(opt.Peers[contract.UserNetwork], in.UserNetwork...)
	}
	for _, n := range []struct {
		flag  string
		texts []string
		to    *[]netip.Prefix
	}{{"--node-network", in.NodeNetwork, &opt.NodeNetwork}, {"--pod-network", in.PodNetwork, &opt.PodNetwork}} {
		for _, text := range n.texts {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return opt, usage("%s %s: expected a network such as 10.0.0.0/16", n.flag, text)
			}
			*n.to = append(*n.to, p.Masked())
		}
	}
	if in.File != "" {
		c, err := loadCluster(in.File)
		if err != nil {
			return opt, err
		}
		opt.Cluster = c
	}
	return opt, nil
}

// fill takes from a file what no flag says.
func (in *auditFlags) fill(cmd *cobra.Command, file auditFlags) {
	for flag, values := range map[string]struct{ to, from *[]string }{
		"role": {&in.Roles, &file.Roles}, "peer": {&in.Peers, &file.Peers}, "user-network": {&in.UserNetwork, &file.UserNetwork},
		"node-network": {&in.NodeNetwork, &file.NodeNetwork}, "pod-network": {&in.PodNetwork, &file.PodNetwork}, "fail-on": {&in.FailOn, &file.FailOn},
	} {
		if !cmd.Flags().Changed(flag) && *values.from != nil {
			*values.to = *values.from
		}
	}
	if in.Interface == "" {
		in.Interface = file.Interface
	}
	if in.APIPort == 0 {
		in.APIPort = file.APIPort
	}
}

// assignment reads "key=value,value".
func assignment(flag, text string, keys ...string) (key string, values []string, err error) {
	key, list, ok := strings.Cut(text, "=")
	if !ok || list == "" {
		return "", nil, usage("%s %q: expected KEY=VALUE, where KEY is %s", flag, text, listed(keys))
	}
	if err := oneOf(flag, key, keys...); err != nil {
		return "", nil, err
	}
	return key, strings.Split(list, ","), nil
}
