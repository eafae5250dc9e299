package slacksim

import "net/http"

func (s *Sim) pageRoutes(mux *http.ServeMux) {}
