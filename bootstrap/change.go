package bootstrap

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"craton.dev/craton/cluster"
)

// moving are the fields that may change while the cluster runs. All others are in
// certificates, addresses or configuration that machines read once.
var moving = map[string]bool{
	"masters": true, "workers": true, "infra": true, "profile": true,
	"registries": true, "timeServers": true,
	"options.nodePortRange": true, "options.readOnlyPort": true, "options.etcdClientPort": true, "options.infraTaint": true,
	"options.nodeExporter": true, "options.cAdvisor": true, "options.metricsServer": true, "options.prometheus": true,
	"options.signIn": true, "signIn.firstAdministrator": true, "signIn.tokenMinutes": true, "signIn.sessionHours": true,
	"signIn.roles": true, "signIn.users": true, "signIn.oidc": true, "signIn.ldap": true, "signIn.github": true, "signIn.saml": true,
	"options.console": true,
	"options.ingress": true, "options.gateway": true,
	"ingress": true, "ingressCertificate": true,
}

// changeable refuses a file which changes what cannot be changed on a running cluster,
// naming all that it changes so.
func changeable(before, after *cluster.Cluster) error {
	var errs []error
	compare("", reflect.ValueOf(*before), reflect.ValueOf(*after), func(field string, old, new any) {
		if !moving[field] {
			errs = append(errs, fmt.Errorf("%s: %v → %v cannot be changed on a running cluster: put it back, or `craton down` and `craton up`", field, old, new))
		}
	})
	return errors.Join(errs...)
}

// compare calls differ for each field of two structs that differs, by its path.
func compare(prefix string, a, b reflect.Value, differ func(field string, old, new any)) {
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		switch x, y := a.Field(i), b.Field(i); {
		case x.Kind() == reflect.Struct:
			compare(prefix+name+".", x, y, differ)
		case x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0:
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			differ(prefix+name, x.Interface(), y.Interface())
		}
	}
}
