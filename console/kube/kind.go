package kube

import (
	"net/url"
	"strings"
)

// Kind is a kind of object that the Console shows. There is none for Secrets, nor for
// anything else that holds values which nobody should see on a screen.
type Kind struct {
	// Name is the plural in the API's paths and the Console's.
	Name string
	// Title is the plural for people, One the singular of a kind whose objects have a page.
	Title, One string
	// Group and Version are the API's; Group is "" for the core.
	Group, Version string
	Namespaced     bool
	// Columns are those of the API server's table that are shown, in its own words.
	Columns []string
	// Held tells that a cluster may have so many that their rows are held while people look at them.
	Held bool
	// Restarts tells that its pods can be started anew, one after another.
	Restarts bool
}

// The kinds.
var (
	Nodes      = Kind{Name: "nodes", Title: "Nodes", Version: "v1", Columns: []string{"Name", "Status", "Roles", "Age", "Version", "Internal-IP"}}
	Namespaces = Kind{Name: "namespaces", Title: "Namespaces", Version: "v1", Columns: []string{"Name", "Status", "Age"}}
	ConfigMaps = Kind{Name: "configmaps", Title: "Configuration", Version: "v1", Namespaced: true}

	Pods         = Kind{Name: "pods", Title: "Pods", One: "Pod", Version: "v1", Namespaced: true, Held: true, Columns: []string{"Name", "Ready", "Status", "Restarts", "Age", "Node"}}
	Deployments  = Kind{Name: "deployments", Title: "Deployments", One: "Deployment", Group: "apps", Version: "v1", Namespaced: true, Restarts: true, Columns: []string{"Name", "Ready", "Up-to-date", "Available", "Age"}}
	DaemonSets   = Kind{Name: "daemonsets", Title: "DaemonSets", One: "DaemonSet", Group: "apps", Version: "v1", Namespaced: true, Restarts: true, Columns: []string{"Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Age"}}
	StatefulSets = Kind{Name: "statefulsets", Title: "StatefulSets", One: "StatefulSet", Group: "apps", Version: "v1", Namespaced: true, Restarts: true, Columns: []string{"Name", "Ready", "Age"}}
	Jobs         = Kind{Name: "jobs", Title: "Jobs", One: "Job", Group: "batch", Version: "v1", Namespaced: true, Columns: []string{"Name", "Status", "Completions", "Duration", "Age"}}
	CronJobs     = Kind{Name: "cronjobs", Title: "CronJobs", One: "CronJob", Group: "batch", Version: "v1", Namespaced: true, Columns: []string{"Name", "Schedule", "Suspend", "Active", "Last Schedule", "Age"}}
	Services     = Kind{Name: "services", Title: "Services", One: "Service", Version: "v1", Namespaced: true, Columns: []string{"Name", "Type", "Cluster-IP", "Port(s)", "Age"}}
	Ingresses    = Kind{Name: "ingresses", Title: "Ingresses", One: "Ingress", Group: "networking.k8s.io", Version: "v1", Namespaced: true, Columns: []string{"Name", "Class", "Hosts", "Address", "Ports", "Age"}}
	Events       = Kind{Name: "events", Title: "Events", Version: "v1", Namespaced: true, Columns: []string{"Last Seen", "Type", "Reason", "Object", "Message"}}
)

// Workloads are the kinds that the page of workloads offers, in this order.
func Workloads() []Kind {
	return []Kind{Pods, Deployments, DaemonSets, StatefulSets, Jobs, CronJobs, Services, Ingresses, Events}
}

// Workload is the kind of this name, of those.
func Workload(name string) (Kind, bool) {
	for _, k := range Workloads() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// path is the API's for a list (where name is "") or an object. Names from outside cannot
// lead elsewhere.
func (k Kind) path(namespace, name string) string {
	parts := []string{"/api", k.Version}
	if k.Group != "" {
		parts = []string{"/apis", k.Group, k.Version}
	}
	if k.Namespaced && namespace != "" {
		parts = append(parts, "namespaces", segment(namespace))
	}
	parts = append(parts, k.Name)
	if name != "" {
		parts = append(parts, segment(name))
	}
	return strings.Join(parts, "/")
}

// segment is a name as one part of a path: a name of dots would be a way up, and names no object.
func segment(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
