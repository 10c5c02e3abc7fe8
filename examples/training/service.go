package main

import (
	"crypto/subtle"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/mlsecrets/secretstore"
)

// service is the database of the example: rows over HTTP on loopback, for one user.
type service struct {
	ln  net.Listener
	srv *http.Server
}

func startService(user, password secretstore.Value) (*service, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rows", func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		userOK := subtle.ConstantTimeCompare([]byte(u), user.Reveal())
		passwordOK := subtle.ConstantTimeCompare([]byte(p), password.Reveal())
		if userOK&passwordOK != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="training data"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/csv")
		// y = 3x - 2, and some noise that is the same every time.
		noise := rand.New(rand.NewPCG(1, 2))
		for i := range 500 {
			x := float64(i) / 50
			fmt.Fprintf(w, "%g,%g\n", x, 3*x-2+noise.NormFloat64()/10)
		}
	})
	s := &service{ln: ln, srv: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}
	go s.srv.Serve(ln) // until Close
	return s, nil
}

func (s *service) URL() string { return "http://" + s.ln.Addr().String() }

func (s *service) Close() error { return s.srv.Close() }
