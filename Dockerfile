# The service as an image: one static program, no shell, not root.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t dropleak .
#   docker run -v ./dropleak.yaml:/etc/dropleak/dropleak.yaml:ro -v dropleak:/var/lib/dropleak --env-file dropleak.env dropleak
#
# See docs/install.md; make image-check builds it without a registry and looks whether it serves.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
# The data directory is made here, for there is no shell below to make it, and a new volume takes over its owner.
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X main.release=${VERSION}" -o /out/dropleak ./cmd/dropleak \
 && mkdir -p /out/data && chmod 0700 /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/dropleak /usr/local/bin/dropleak
COPY --from=build --chown=65532:65532 /out/data /var/lib/dropleak
USER 65532:65532
VOLUME /var/lib/dropleak
# What it listens on is the configuration's word; these are the defaults. Metrics are for loopback unless it says otherwise.
EXPOSE 8080 9464
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
  CMD ["/usr/local/bin/dropleak", "health", "--config", "/etc/dropleak/dropleak.yaml"]
ENTRYPOINT ["/usr/local/bin/dropleak"]
CMD ["serve", "--config", "/etc/dropleak/dropleak.yaml"]
