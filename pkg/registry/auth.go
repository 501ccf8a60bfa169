package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// errBadAuth marks credentials that cannot be understood.
var errBadAuth = errors.New("unusable credentials")

const redacted = "[redacted]"

// Auth is the auth of a CRI PullImage request. It never shows itself in text.
type Auth struct {
	Username, Password string
	IdentityToken      string // traded for a token at the registry's token server
	RegistryToken      string // not supported by containerd, nor therefore here
	ServerAddress      string // if set, the only host that may see the credentials
	Auth               string // base64 of "username:password"
}

// String implements fmt.Stringer and hides everything.
func (Auth) String() string { return redacted }

// GoString implements fmt.GoStringer and hides everything.
func (Auth) GoString() string { return redacted }

// LogValue implements slog.LogValuer and hides everything.
func (Auth) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides everything from encoders too.
func (Auth) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// forHost returns the username and the secret to show to a host, by the rules of
// containerd's CRI plugin (ParseAuth), so that we log in where and as the
// runtime would. An empty username means that the secret is an identity token.
// Unlike there, no error quotes what it could not parse.
func (a *Auth) forHost(host string) (username, secret string, err error) {
	if a == nil {
		return "", "", nil
	}
	if a.ServerAddress != "" {
		u, err := url.Parse(a.ServerAddress)
		if err != nil {
			return "", "", fmt.Errorf("%w: server address is not a URL", errBadAuth)
		}
		if host != u.Host {
			return "", "", nil
		}
	}
	switch {
	case a.Username != "":
		return a.Username, a.Password, nil
	case a.IdentityToken != "":
		return "", a.IdentityToken, nil
	case a.Auth != "":
		return decodeAuth(a.Auth)
	}
	return "", "", nil
}

// decodeAuth splits base64("username:password"). Old docker clients padded the
// password with NULs.
func decodeAuth(encoded string) (username, secret string, err error) {
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", fmt.Errorf("%w: auth is not base64", errBadAuth)
	}
	username, secret, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", "", fmt.Errorf("%w: auth holds no colon", errBadAuth)
	}
	return username, strings.Trim(secret, "\x00"), nil
}
