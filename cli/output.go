package cli

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// format is one way to print a result of type T.
type format[T any] struct {
	name  string
	write func(w io.Writer, value T) error
}

// jsonFormat and yamlFormat print any value; YAML has the same fields as JSON.
func jsonFormat[T any]() format[T] { return format[T]{"json", writeJSON[T]} }
func yamlFormat[T any]() format[T] { return format[T]{"yaml", writeYAML[T]} }

func writeJSON[T any](w io.Writer, value T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // <cluster-name> is to be read by people too
	e.SetIndent("", "  ")
	return e.Encode(value)
}

func writeYAML[T any](w io.Writer, value T) error {
	data, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// output is the flag -o with the formats of one command; the first one is the default.
type output[T any] struct {
	formats []format[T]
	chosen  string
}

// addOutputFlag gives a command the flag -o.
func addOutputFlag[T any](cmd *cobra.Command, formats ...format[T]) *output[T] {
	o := &output[T]{formats: formats}
	cmd.Flags().StringVarP(&o.chosen, "output", "o", formats[0].name, "how to print it: "+strings.Join(o.names(), ", "))
	completeWith(cmd, "output", o.names()...)
	return o
}

func (o *output[T]) names() []string {
	names := make([]string, len(o.formats))
	for i, f := range o.formats {
		names[i] = f.name
	}
	return names
}

// check tells before any work whether the format exists.
func (o *output[T]) check() error {
	return oneOf("--output", o.chosen, o.names()...)
}

// print writes the value in the chosen format.
func (o *output[T]) print(w io.Writer, value T) error {
	if err := o.check(); err != nil {
		return err
	}
	for _, f := range o.formats {
		if f.name == o.chosen {
			return f.write(w, value)
		}
	}
	return nil
}

// oneOf checks the value of a flag that has few.
func oneOf(flag, value string, all ...string) error {
	for _, a := range all {
		if a == value {
			return nil
		}
	}
	return usage("%s %q is not known: use %s", flag, value, listed(all))
}

// listed is "a, b or c".
func listed(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// completeWith lets the shell complete a flag with these values.
func completeWith(cmd *cobra.Command, flag string, values ...string) {
	// It only fails for a flag that the command does not have or that was completed already.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
