package console

import (
	"encoding/json"
	"net/http"
	"time"

	"craton.dev/craton/console/kube"
)

// cordon keeps new pods away from a machine, or lets them come again.
func (c *Console) cordon(a *asked) error {
	off := a.PostFormValue("on") == ""
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"unschedulable": !off}})
	if err != nil {
		return err
	}
	name := a.PathValue("name")
	if err := a.person.Patch(a.Context(), kube.Nodes, "", name, patch); err != nil {
		return err
	}
	c.opt.Log.Info("a machine was cordoned or uncordoned", "person", a.session.Name, "machine", name, "cordoned", !off)
	http.Redirect(a.w, a.Request, "/machines/"+name, http.StatusSeeOther)
	return nil
}

// restart starts the pods of a workload anew, one after another, as kubectl does.
func (c *Console) restart(a *asked) error {
	k, ok := kube.Workload(a.PathValue("kind"))
	if !ok || !k.Restarts {
		return errNowhere
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{"kubectl.kubernetes.io/restartedAt": time.Now().UTC().Format(time.RFC3339)},
	}}}})
	if err != nil {
		return err
	}
	namespace, name := a.PathValue("namespace"), a.PathValue("name")
	if err := a.person.Patch(a.Context(), k, namespace, name, patch); err != nil {
		return err
	}
	c.opt.Log.Info("a workload was restarted", "person", a.session.Name, "kind", k.Name, "namespace", namespace, "name", name)
	http.Redirect(a.w, a.Request, objectPath(k, namespace, name), http.StatusSeeOther)
	return nil
}
