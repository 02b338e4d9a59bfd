package main

import "fmt"

const (
	mib  = 1.0 / (1 << 20)
	gbit = 8e-9
)

// figures are the table's lines, with the project's goals.
func figures() []figure {
	var out []figure
	for _, verb := range []string{planVerb, renderVerb} {
		for _, n := range sizes {
			time := figure{title: fmt.Sprintf("`%s`, %d workers: time", verb, n), sample: sampleName(verb, n, "s"), unit: "s"}
			peak := figure{title: fmt.Sprintf("`%s`, %d workers: peak memory", verb, n), sample: sampleName(verb, n, "B"), unit: "MiB", scale: mib}
			if n == largest {
				time.goal, peak.goal = atMost, atMost
				time.limit, peak.limit = map[string]float64{planVerb: 1, renderVerb: 10}[verb], map[string]float64{planVerb: 200, renderVerb: 300}[verb]
			}
			out = append(out, time, peak)
		}
		// Without what a start costs, twice the workers cost twice the time, or memory; the
		// limit leaves a quarter for noise.
		out = append(out,
			figure{title: fmt.Sprintf("`%s`: processor time added by %d workers against %d", verb, largest, largest/2),
				sample: addedName(verb, largest, "cpu"), against: addedName(verb, largest/2, "cpu"), unit: "s", goal: atMost, limit: 2.5},
			figure{title: fmt.Sprintf("`%s`: peak memory added by %d workers against %d", verb, largest, largest/2),
				sample: addedName(verb, largest, "B"), against: addedName(verb, largest/2, "B"), unit: "MiB", scale: mib, goal: atMost, limit: 2.5},
		)
	}
	out = append(out,
		figure{title: fmt.Sprintf("`verify --static`, %d workers: time", largest), sample: staticSample + " s", unit: "s", goal: atMost, limit: 1},
		figure{title: fmt.Sprintf("`verify --static`, %d workers: peak memory", largest), sample: staticSample + " B", unit: "MiB", scale: mib},
		figure{title: fmt.Sprintf("`verify --static`, %d workers, against asking the plan port by port (one pair of machines, times all)", largest),
			sample: staticSample + " cpu", against: naiveSample, unit: "s", goal: atMost, limit: 0.01},
		figure{title: "`audit`, 10,000 rules of AWS: time", sample: auditSample + " s", unit: "s", goal: atMost, limit: 2},
		figure{title: "`audit`, 10,000 rules of AWS: processor time", sample: auditSample + " cpu", unit: "s"},
		figure{title: "`audit`, 10,000 rules of AWS: peak memory", sample: auditSample + " B", unit: "MiB", scale: mib, goal: atMost, limit: 200},
	)
	out = append(out,
		figure{title: "`verify`, 5 machines, all ports, tcp and udp: time", sample: liveSample, unit: "s", goal: atMost, limit: 20},
		figure{title: "`verify`, all ports of a master from the user network, tcp and udp, against connecting to each tcp port", sample: pairSample, against: naivePairSample, unit: "s"},
		figure{title: "`verify`, all ports of a master from the user network, tcp and udp, against nmap, tcp", sample: pairSample, against: nmapSample, unit: "s"},
		figure{title: "`verify --static --watch`: a rule more in the fabric is told of after", sample: driftSample, unit: "s", goal: atMost, limit: 5},
		figure{title: "`verify --static --watch`: resident memory after 20 s, just after it told of drift", sample: watchSample, unit: "MiB", scale: mib, goal: atMost, limit: 20},
		figure{title: "`verify --static --watch`: peak of it, at its start", sample: watchPeakSample, unit: "MiB", scale: mib},
		figure{title: "`verify --static --watch`: its own memory", sample: watchOwnSample, unit: "MiB", scale: mib},
	)
	for _, load := range []struct {
		title, sample, unit string
		scale               float64
	}{
		{"throughput", "throughput", "Gbit/s", gbit},
		{"connections a second", "connections", "1/s", 0},
	} {
		for _, pair := range []struct{ what, with, against string }{
			{"rules of 5 workers against no rules", rules5, rulesNone},
			{"rules of 5,000 workers against no rules", rules5000, rulesNone},
			{"rules of 5,000 workers against those of 5", rules5000, rules5},
		} {
			out = append(out, figure{
				title: "fabric, " + load.title + ": " + pair.what, unit: load.unit, scale: load.scale,
				sample: load.sample + pair.with, against: load.sample + pair.against, goal: atLeast, limit: 0.9,
			})
		}
	}
	for _, kind := range []string{"selfHosted", "external"} {
		out = append(out, figure{title: fmt.Sprintf("a write through the API, median of %d: etcd %s against internal, one member each", writesOfRun, kind),
			sample: writeSample(kind), against: writeSample("internal"), unit: "ms", scale: 1000, goal: atMost, limit: 1.1})
	}
	return append(out,
		figure{title: "first API answer of `up` against bare etcd and kube-apiserver", sample: "first answer", against: "floor",
			unit: "s", goal: atMost, limit: 1.5},
		figure{title: "the same, asked at the master and not through the load balancer", sample: "first answer, master", against: "floor", unit: "s"},
		figure{title: "`up` 1+1 to ready", sample: "up", unit: "s"},
		figure{title: "`up` 1+1 against kubeadm, both from nothing to ready, images from the fabric's registry", sample: "up",
			against: "kubeadm from nothing", unit: "s", goal: atMost, limit: 0.7},
		figure{title: "`up` 1+1 from nothing against kubeadm init + join + flannel on booted machines that have the images", sample: "up",
			against: "kubeadm", unit: "s", goal: atMost, limit: 0.7},
		figure{title: "kubeadm's surroundings and machines booted", sample: "kubeadm machines", unit: "s"},
		figure{title: "kubeadm's images pulled", sample: "kubeadm images", unit: "s"},
		figure{title: "`up` 3+1 to ready against kubeadm with 3 masters, both from nothing", sample: "up" + severalSuffix,
			against: "kubeadm from nothing" + severalSuffix, unit: "s", goal: atMost, limit: 0.8},
		figure{title: "`up` 3+1 from nothing against kubeadm init + joins + flannel on booted machines that have the images",
			sample: "up" + severalSuffix, against: "kubeadm" + severalSuffix, unit: "s"},
		figure{title: "3+1, all machines off and on: ready, against the slowest machine's boot + bare etcd and kube-apiserver",
			sample: backSample, against: backFloor, unit: "s", goal: atMost, limit: 2},
		figure{title: "the same, against that boot + as many bare ones at once as there are masters, on this host's processors",
			sample: backSample, against: backFloorAll, unit: "s"},
		figure{title: "`up` 1+1 with all services to ready, against without", sample: "up, services", against: "up", unit: "s", goal: atMost, limit: 1.5},
		figure{title: "resident memory of all services", sample: "memory services", unit: "MiB", scale: mib, goal: atMost, limit: 350},
		figure{title: "processor of all services when idle, of one core", sample: "processor services", unit: "%", goal: atMost, limit: 5},
		figure{title: "requests a second, through the ingress over TLS against the application's node port without", sample: askedRate + wayIngress,
			against: askedRate + wayDirect, unit: "1/s"},
		figure{title: "99% of these take at most", sample: askedTail + wayIngress, against: askedTail + wayDirect, unit: "ms", scale: 1000},
		figure{title: "requests a second, through the ingress against the same proxy outside of the cluster, both over TLS and behind the same load balancer",
			sample: askedRate + wayIngress, against: askedRate + wayBalanced, unit: "1/s", goal: atLeast, limit: 0.8},
		figure{title: "the load balancer's share: that proxy behind it against by itself", sample: askedRate + wayBalanced, against: askedRate + wayOutside, unit: "1/s"},
		figure{title: "both: through load balancer and ingress against the same proxy by itself", sample: askedRate + wayIngress, against: askedRate + wayOutside, unit: "1/s"},
		figure{title: "processor of the whole host a request, through the ingress against the proxy outside behind the load balancer",
			sample: askedWork + wayIngress, against: askedWork + wayBalanced, unit: "ms", scale: 1000},
		figure{title: "the same, that proxy behind the load balancer against by itself", sample: askedWork + wayBalanced, against: askedWork + wayOutside, unit: "ms", scale: 1000},
		figure{title: "Console with 5,000 pods in view and 20 people signed in: resident memory at most", sample: consoleMemory, unit: "MiB", scale: mib, goal: atMost, limit: 40},
		figure{title: "the same: 99% of pages take at most", sample: consoleTail, unit: "ms", scale: 1000, goal: atMost, limit: 200},
		figure{title: "99% of pages of a namespace, above what the API itself takes", sample: consoleAbove, unit: "ms", scale: 1000, goal: atMost, limit: 50},
		figure{title: "the Console's heaviest page, with styles and scripts", sample: consoleWeight, unit: "kB", scale: 0.001, goal: atMost, limit: 150},
		figure{title: "the Console's slowest page usable in Chromium, nothing cached", sample: consoleUsable, unit: "s", goal: atMost, limit: 1},
		figure{title: "`up` where there is nothing to do", sample: "no-op", unit: "s", goal: atMost, limit: 3},
		figure{title: "`down`", sample: "down", unit: "s"},
		figure{title: "resident memory of the operator", sample: "memory craton-operator", unit: "MiB", scale: mib, goal: atMost, limit: 25},
		figure{title: "resident memory of the checkpointer", sample: "memory craton-checkpointer", unit: "MiB", scale: mib, goal: atMost, limit: 15},
		figure{title: "processor of the operator when idle, of one core", sample: "processor craton-operator", unit: "%", goal: atMost, limit: 1},
		figure{title: "processor of the checkpointer when idle, of one core", sample: "processor craton-checkpointer", unit: "%", goal: atMost, limit: 1},
		figure{title: "resident memory of craton's own on the master (both)", sample: "memory master", unit: "MiB", scale: mib, goal: atMost, limit: 40},
		figure{title: "resident memory of the operator, 5,000 workers", sample: "memory operator", unit: "MiB", scale: mib, goal: atMost, limit: 40},
		figure{title: "resident memory of craton's own on the worker", sample: "memory worker", unit: "MiB", scale: mib, goal: atMost, limit: 40},
		figure{title: "resident memory of craton's own on the host (gateway)", sample: "memory host", unit: "MiB", scale: mib},
	)
}
