package agent

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// appID is what makes our machine id ours: the same machine shows other
// programs another one. It must never change.
var appID = [16]byte{0x5d, 0x1c, 0x0b, 0x2e, 0x77, 0x9a, 0x4e, 0x63, 0x9f, 0x42, 0xd8, 0x31, 0xa4, 0x6e, 0x0c, 0x95}

// machineID derives an id from the content of /etc/machine-id, as systemd's
// sd_id128_get_machine_app_specific does, so that the secret one never
// leaves the droplet.
func machineID(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read machine id: %w", err)
	}
	return hashMachineID(strings.TrimSpace(string(raw)), appID)
}

func hashMachineID(id string, app [16]byte) (string, error) {
	key, err := hex.DecodeString(id)
	if err != nil || len(key) != 16 {
		return "", fmt.Errorf("read machine id: not 32 hexadecimal digits")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(app[:])
	sum := mac.Sum(nil)[:16]
	sum[6] = sum[6]&0x0f | 0x40 // a random UUID's version and variant
	sum[8] = sum[8]&0x3f | 0x80
	return hex.EncodeToString(sum), nil
}

// identity is who this agent is, as each request says it.
type identity struct {
	machine, boot string

	mu      sync.Mutex
	droplet string // DigitalOcean's id; "" not known
}

func (id *identity) dropletID() string {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.droplet
}

func (id *identity) setDroplet(s string) {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.droplet = s
}

// header puts the identity on a request.
func (id *identity) header(h http.Header) {
	set := func(name, v string) {
		if v != "" {
			h.Set(name, v)
		}
	}
	set(order.HeaderDroplet, id.dropletID())
	set(order.HeaderMachine, id.machine)
	set(order.HeaderBoot, id.boot)
}

// askMetadata asks DigitalOcean's metadata service for the droplet's id.
// It is kept in memory only: on disk it would survive into a clone made from
// a snapshot, which must notice that it is another droplet.
func askMetadata(ctx context.Context, client *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask for the droplet's id: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask for the droplet's id: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil {
		return "", fmt.Errorf("ask for the droplet's id: %w", err)
	}
	id := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK || id == "" || strings.Trim(id, "0123456789") != "" {
		return "", fmt.Errorf("ask for the droplet's id: %s answered %s and no number", url, resp.Status)
	}
	return id, nil
}
