package dosim

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// page answers one page of a list: 20 by default, 200 at most, with the
// documented links, which are empty when one page is enough.
func (q *request) page(key string, all []any) reply {
	number, okNumber := positive(q.URL.Query().Get("page"), 1)
	size, okSize := positive(q.URL.Query().Get("per_page"), 20)
	if !okNumber || !okSize || size > 200 {
		return refuse(http.StatusUnprocessableEntity, "unprocessable_entity", "page must be positive and per_page between 1 and 200")
	}
	last := max(1, (len(all)+size-1)/size)
	from := min((number-1)*size, len(all))
	shown := append([]any{}, all[from:min(from+size, len(all))]...)
	return reply{status: http.StatusOK, body: map[string]any{
		key: shown, "links": q.links(number, last), "meta": map[string]any{"total": len(all)},
	}}
}

func positive(text string, otherwise int) (int, bool) {
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

func (q *request) links(number, last int) map[string]any {
	pages := map[string]string{}
	if number > 1 {
		pages["first"], pages["prev"] = q.link(1), q.link(number-1)
	}
	if number < last {
		pages["next"], pages["last"] = q.link(number+1), q.link(last)
	}
	if len(pages) == 0 {
		return map[string]any{}
	}
	return map[string]any{"pages": pages}
}

func (q *request) link(page int) string {
	query := url.Values{}
	for name, values := range q.URL.Query() {
		query[name] = values
	}
	query.Set("page", strconv.Itoa(page))
	return fmt.Sprintf("https://api.digitalocean.com%s?%s", q.URL.Path, query.Encode())
}
