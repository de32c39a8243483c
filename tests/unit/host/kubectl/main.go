// A kubectl for the tests of the approver and the admission: it evaluates go-templates as the real one does
// (k8s.io/cli-runtime, pkg/printers/template.go) and knows certificate requests and ConfigMaps alone. The folder in FAKE_KUBECTL
// has its API: requests.json (a list of objects), declared.json (the data of tailkube-nodes), configmaps.json (those that a
// selector finds), fails (what one line of an argument list has to
// contain for the call to fail), swap.json (the objects that take the place of requests.json after the first list), and calls.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

var folder = os.Getenv("FAKE_KUBECTL")

func file(name string) string { return filepath.Join(folder, name) }

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "Error from server: "+format+"\n", arguments...)
	os.Exit(1)
}

func read(name string, into any) {
	data, err := os.ReadFile(file(name))
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		fail("%v", err)
	}
}

func write(name string, value any) {
	data, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(file(name), data, 0o600)
	}
	if err != nil {
		fail("%v", err)
	}
}

func note(text string) {
	calls, err := os.OpenFile(file("calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(calls, text)
	}
	if err != nil {
		fail("%v", err)
	}
}

type object = map[string]any

func metadata(of object) object { return of["metadata"].(object) }

// As the real one: what it cannot evaluate, it prints, and fails.
func print(text string, value any) {
	functions := template.FuncMap{
		"exists": func() bool { return false },
		"base64decode": func(text string) (string, error) {
			data, err := base64.StdEncoding.DecodeString(text)
			return string(data), err
		},
	}
	parsed, err := template.New("output").Funcs(functions).Option("missingkey=default").Parse(text)
	if err == nil {
		err = parsed.Execute(os.Stdout, value)
	}
	if err != nil {
		fmt.Printf("Error executing template: %v\nraw data was: %v\n", err, value)
		fail("%v", err)
	}
}

func main() {
	arguments := os.Args[1:]
	all := strings.Join(arguments, " ")
	var short []string
	var positional []string
	var output, selector, raw string
	for i := 0; i < len(arguments); i++ {
		switch argument := arguments[i]; {
		case argument == "-o":
			i++
			output = strings.TrimPrefix(arguments[i], "go-template=")
		case argument == "--raw":
			i++
			raw = arguments[i]
		case argument == "--kubeconfig" || argument == "--selector" || argument == "-n" || argument == "-f":
			i++
		case strings.HasPrefix(argument, "--"):
		default:
			positional = append(positional, argument)
		}
	}
	short = append(short, positional...)
	if raw != "" && positional[0] != "get" {
		short = append(short, raw)
	}
	note(strings.Join(short, " "))
	if fails, err := os.ReadFile(file("fails")); err == nil && strings.Contains(all, strings.TrimSpace(string(fails))) {
		fail("etcdserver: request timed out")
	}

	var requests []object
	read("requests.json", &requests)
	switch {
	case positional[0] == "get" && raw != "":
		path, err := url.Parse(raw)
		if err != nil || path.Path != "/apis/certificates.k8s.io/v1/certificatesigningrequests" {
			fail("the path is %s", raw)
		}
		selector = strings.TrimPrefix(path.Query().Get("fieldSelector"), "spec.signerName=")
		items := []any{}
		for _, request := range requests {
			if request["spec"].(object)["signerName"] == selector {
				items = append(items, request)
			}
		}
		json.NewEncoder(os.Stdout).Encode(object{"kind": "CertificateSigningRequestList", "metadata": object{"resourceVersion": "1"}, "items": items})
		if _, err := os.Stat(file("swap.json")); err == nil {
			os.Rename(file("swap.json"), file("requests.json"))
		}
	case positional[0] == "get" && positional[1] == "configmap" && len(positional) == 2:
		items := []any{}
		read("configmaps.json", &items)
		print(output, object{"kind": "List", "items": items})
	case positional[0] == "get" && positional[1] == "configmap":
		var declared object
		read("declared.json", &declared)
		if declared != nil {
			print(output, object{"data": declared})
		}
	case positional[0] == "get":
		for _, request := range requests {
			if metadata(request)["name"] == positional[2] {
				print(output, request)
			}
		}
	case positional[0] == "replace":
		body, err := io.ReadAll(os.Stdin)
		var sent object
		if err == nil {
			err = json.Unmarshal(body, &sent)
		}
		if err != nil {
			fail("%v", err)
		}
		name := metadata(sent)["name"]
		if raw != fmt.Sprintf("/apis/certificates.k8s.io/v1/certificatesigningrequests/%v/approval", name) {
			fail("the path %s is not that of %v", raw, name)
		}
		for _, request := range requests {
			if metadata(request)["name"] != name {
				continue
			}
			for _, key := range []string{"uid", "resourceVersion"} {
				if metadata(request)[key] != metadata(sent)[key] {
					fail("Operation cannot be fulfilled: the object has been modified")
				}
			}
			request["status"] = sent["status"]
			note(fmt.Sprintf("approved %v", name))
			write("requests.json", requests)
			return
		}
		fail("%v not found", name)
	default:
		fail("the tests know no %s", all)
	}
}
