// The lab's mirror: serves a folder (package repositories, charts), hands on what is below /debian and /debian-security to a mirror
// of Debian, whose packages it keeps, and stands before the registry, which it opens by TLS and with a password alone.
package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	plain := flag.String("http", "172.31.77.1:3351", "`address` to serve at")
	secure := flag.String("https", "172.31.77.1:3352", "`address` to serve at under TLS")
	certificate := flag.String("cert", "", "`file` with the certificate, for -https")
	key := flag.String("key", "", "`file` with its key")
	root := flag.String("root", "", "`folder` to serve")
	upstream := flag.String("debian", "http://deb.debian.org", "`URL` of the mirror of Debian")
	kept := flag.String("kept", "", "`folder` for Debian's packages")
	registry := flag.String("registry", "", "`URL` of the registry")
	credentials := flag.String("credentials", "", "`file` with USER:PASSWORD, for the registry")
	flag.Parse()
	images, err := newRegistry(*registry, *credentials)
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	debian := &passThrough{upstream: strings.TrimSuffix(*upstream, "/"), kept: *kept}
	mux.Handle("/debian/", debian)
	mux.Handle("/debian-security/", debian)
	mux.Handle("/v2/", images)
	mux.Handle("/", http.FileServer(http.Dir(*root)))
	failed := make(chan error)
	serve := func(address string, run func(*http.Server) error) {
		server := &http.Server{Addr: address, Handler: logged(mux), ReadHeaderTimeout: 30 * time.Second}
		go func() { failed <- run(server) }()
	}
	serve(*plain, (*http.Server).ListenAndServe)
	serve(*secure, func(s *http.Server) error { return s.ListenAndServeTLS(*certificate, *key) })
	log.Fatal(<-failed)
}

// newRegistry stands before a registry, for those who read and have the password, which never goes in plain.
func newRegistry(address, credentials string) (http.Handler, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(credentials)
	if err != nil {
		return nil, err
	}
	wanted := strings.TrimSpace(string(content))
	proxy := httputil.NewSingleHostReverseProxy(target)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.TLS == nil:
			http.Error(w, "the registry is served by https alone", http.StatusForbidden)
		case subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(wanted)) != 1:
			w.Header().Set("WWW-Authenticate", `Basic realm="the lab's registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "the mirror is read-only", http.StatusMethodNotAllowed)
		default:
			proxy.ServeHTTP(w, r)
		}
	}), nil
}

func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s %s", r.RemoteAddr, r.Method, r.URL.Path)
		next.ServeHTTP(w, r)
	})
}

// passThrough fetches from a mirror of Debian. A package never changes under its name; indexes do, so those are not kept.
type passThrough struct{ upstream, kept string }

func (p *passThrough) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := filepath.Clean(r.URL.Path)
	file := filepath.Join(p.kept, path)
	keep := strings.HasSuffix(path, ".deb") && r.Method == http.MethodGet
	if keep {
		if _, err := os.Stat(file); err == nil {
			http.ServeFile(w, r, file)
			return
		}
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, p.upstream+path, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, name := range []string{"If-Modified-Since", "If-None-Match"} {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, fmt.Sprintf("no answer from %s: %v", p.upstream, err), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Content-Length", "Last-Modified", "ETag"} {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(answer.StatusCode)
	if !keep || answer.StatusCode != http.StatusOK {
		if _, err := io.Copy(w, answer.Body); err != nil {
			log.Printf("%s: %v", path, err)
		}
		return
	}
	if err := tee(w, answer, file); err != nil {
		log.Printf("%s: %v", path, err)
	}
}

// tee sends an answer on and keeps it as a file, once it is whole.
func tee(w io.Writer, answer *http.Response, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	suffix := make([]byte, 8)
	rand.Read(suffix)
	partial, err := os.Create(file + "." + hex.EncodeToString(suffix))
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	length, err := io.Copy(io.MultiWriter(w, partial), answer.Body)
	if closing := partial.Close(); err == nil {
		err = closing
	}
	if err == nil && answer.ContentLength >= 0 && length != answer.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = os.Rename(partial.Name(), file)
	}
	return err
}
