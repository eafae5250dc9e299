package bot

import (
	"testing"

	"github.com/dropleak/dropleak/doclient"
)

func TestLocated(t *testing.T) {
	fleet := []doclient.Droplet{{ID: 1, Name: "web-1.example.com", Addresses: []string{"10.0.0.1", "192.0.2.1"}}, {ID: 2, Name: "web-2", Addresses: []string{"10.0.0.2"}},
		{ID: 3, Name: "twin", Addresses: []string{"10.0.0.9"}}, {ID: 4, Name: "twin", Addresses: []string{"10.0.0.9"}}}
	for name, want := range map[string]string{"1": "1", "web-1.example.com": "1", "WEB-1": "1", "192.0.2.1": "1", "web-2.internal": "2", "10.0.0.2": "2",
		"twin": "", "10.0.0.9": "", "4": "4", "": "", "elsewhere": "", "10.0.0.3": "", "localhost": ""} {
		if got := located(fleet, name); got != want {
			t.Errorf("%q is droplet %q, want %q", name, got, want)
		}
	}
}
