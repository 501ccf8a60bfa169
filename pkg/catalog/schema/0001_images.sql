CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE source (
  id {id},
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  added BIGINT NOT NULL,
  began BIGINT NOT NULL DEFAULT 0,
  synced BIGINT NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  UNIQUE (kind, name)
);
CREATE TABLE repository (
  id {id},
  name {text} NOT NULL UNIQUE
);
CREATE TABLE claim (
  id {id},
  digest TEXT NOT NULL UNIQUE,
  text TEXT NOT NULL
);
CREATE TABLE manifest (
  id {id},
  digest TEXT NOT NULL UNIQUE,
  kind SMALLINT NOT NULL,
  size BIGINT NOT NULL DEFAULT 0,
  content BIGINT NOT NULL DEFAULT 0,
  config TEXT NOT NULL DEFAULT '',
  created BIGINT NOT NULL DEFAULT 0,
  base_name TEXT NOT NULL DEFAULT '',
  base_digest TEXT NOT NULL DEFAULT '',
  priorities TEXT NOT NULL DEFAULT '',
  environment TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT ''
);
CREATE TABLE tag (
  id {id},
  repository BIGINT NOT NULL REFERENCES repository (id),
  name {text} NOT NULL,
  manifest BIGINT REFERENCES manifest (id),
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  checked BIGINT NOT NULL,
  gone BIGINT NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  UNIQUE (repository, name)
);
CREATE INDEX tag_manifest ON tag (manifest);
CREATE TABLE found (
  source BIGINT NOT NULL REFERENCES source (id) ON DELETE CASCADE,
  tag BIGINT NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
  last_seen BIGINT NOT NULL,
  PRIMARY KEY (source, tag)
) {clustered};
CREATE TABLE move (
  id {id},
  tag BIGINT NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
  before BIGINT REFERENCES manifest (id),
  after BIGINT REFERENCES manifest (id),
  at BIGINT NOT NULL
);
CREATE INDEX move_tag ON move (tag);
CREATE TABLE body (
  id {id},
  digest TEXT NOT NULL UNIQUE,
  dialect TEXT NOT NULL DEFAULT '',
  text {bytes} NOT NULL,
  problem TEXT NOT NULL DEFAULT '',
  errors INTEGER NOT NULL DEFAULT 0,
  warnings INTEGER NOT NULL DEFAULT 0,
  build_host SMALLINT NOT NULL DEFAULT 0
);
CREATE TABLE attribute (
  body BIGINT NOT NULL REFERENCES body (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  key {text} NOT NULL,
  op TEXT NOT NULL,
  value {text} NOT NULL,
  version {text} NOT NULL DEFAULT '',
  importance SMALLINT NOT NULL,
  PRIMARY KEY (body, position)
) {clustered};
CREATE INDEX attribute_key ON attribute (key, version, body) WHERE importance < 4;
CREATE TABLE kind (
  id {id},
  artifact TEXT NOT NULL,
  layer TEXT NOT NULL,
  UNIQUE (artifact, layer)
);
CREATE TABLE subject (
  id {id},
  repository BIGINT NOT NULL REFERENCES repository (id),
  manifest BIGINT NOT NULL REFERENCES manifest (id),
  checked BIGINT NOT NULL DEFAULT 0,
  listing TEXT NOT NULL DEFAULT '',
  others INTEGER NOT NULL DEFAULT 0,
  UNIQUE (repository, manifest)
);
CREATE TABLE artifact (
  subject BIGINT NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
  digest {bytes} NOT NULL,
  position SMALLINT NOT NULL,
  kind BIGINT NOT NULL REFERENCES kind (id),
  body BIGINT REFERENCES body (id),
  created BIGINT NOT NULL DEFAULT 0,
  current SMALLINT NOT NULL DEFAULT 0,
  first_seen BIGINT NOT NULL,
  gone BIGINT NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '',
  signer TEXT NOT NULL DEFAULT '',
  verified BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (subject, digest, position)
) {clustered};
CREATE TABLE needs (
  id {id},
  digest TEXT NOT NULL UNIQUE
);
CREATE TABLE need (
  needs BIGINT NOT NULL REFERENCES needs (id) ON DELETE CASCADE,
  position SMALLINT NOT NULL,
  kind BIGINT NOT NULL REFERENCES kind (id),
  body BIGINT REFERENCES body (id),
  problem TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (needs, position)
) {clustered};
CREATE INDEX need_body ON need (body);
CREATE TABLE variant (
  repository BIGINT NOT NULL REFERENCES repository (id),
  top BIGINT NOT NULL REFERENCES manifest (id),
  position INTEGER NOT NULL,
  manifest BIGINT NOT NULL REFERENCES manifest (id),
  within BIGINT REFERENCES manifest (id),
  platform {text} NOT NULL DEFAULT '',
  claim BIGINT REFERENCES claim (id),
  needs BIGINT REFERENCES needs (id),
  reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (repository, top, position)
) {clustered};
CREATE INDEX variant_needs ON variant (needs);
CREATE INDEX variant_manifest ON variant (manifest);
CREATE TABLE pending (
  repository TEXT NOT NULL,
  name TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (repository, name)
) {clustered};
CREATE VIEW image AS
  SELECT r.name AS repository, t.name AS tag, m.digest AS digest, v.platform AS platform, c.digest AS variant,
    c.config AS config, c.content AS size, c.created AS created, t.first_seen AS first_seen, t.last_seen AS last_seen, v.needs AS needs
  FROM tag t JOIN repository r ON r.id = t.repository JOIN manifest m ON m.id = t.manifest
    JOIN variant v ON v.repository = t.repository AND v.top = t.manifest JOIN manifest c ON c.id = v.manifest
  WHERE t.gone = 0 AND v.reason = '';
CREATE VIEW requirement AS
  SELECT i.repository, i.tag, i.platform, i.variant, a.key, a.op, a.value,
    CASE a.importance WHEN 0 THEN 'required' WHEN 1 THEN 'preferred' WHEN 2 THEN 'informative' WHEN 3 THEN 'excluded' ELSE 'stated' END AS importance
  FROM image i JOIN need n ON n.needs = i.needs JOIN attribute a ON a.body = n.body;
