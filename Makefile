# mfiauto: build, install, test, demo, bench.
#
#   make                 build the library and the install script
#   make install         into the PostgreSQL that PG_CONFIG names
#   make demo            the main job end to end, on a throw-away server
#   make test            everything, on throw-away servers; ends with "N passed, N failed"
#   make test-contracts  presets against the providers' own OpenAPI documents (needs the network)
#   make bench           speed as ratios, each measured side by side in one run
#   make fuzz            random inputs for all that reads what strangers write, FUZZ_SECONDS each
#   make receiver        the web front, contrib/receiver (needs libmicrohttpd and libpq)
#   make lint            format and house rules; silence is success

EXTENSION = mfiauto
EXT_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" mfiauto.control)

MODULE_big = mfiauto
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The order in which the parts are concatenated; later parts may use earlier ones.
CODE_PARTS = $(shell grep -v '^\#' sql/code/order)
SCHEMA_PARTS = $(shell grep -v '^\#' sql/schema/order)
EXT_SCRIPT = $(EXTENSION)--$(EXT_VERSION).sql
DATA_built = $(EXT_SCRIPT)

PG_CONFIG ?= pg_config
# -Wclobbered cries wolf at every PG_TRY; unused parameters are what callbacks are made of.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -I$(CURDIR)/src \
	-DMFI_VERSION='"$(EXT_VERSION)"' -Wextra -Werror \
	-Wno-unused-parameter -Wno-declaration-after-statement -Wno-clobbered
SHLIB_LINK = -lcurl -ljansson -lcrypto
# Link-time bitcode would need the very clang of the packager and brings nothing here.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*/*.h)

$(EXT_SCRIPT): tools/build_extension_sql.sh sql/code/order sql/schema/order $(addprefix sql/code/,$(CODE_PARTS)) $(addprefix sql/schema/,$(SCHEMA_PARTS)) $(wildcard sql/upgrade/schema_*.sql) $(wildcard contrib/gateways/*.json contrib/recipes/*.json)
	tools/build_extension_sql.sh $(EXT_VERSION) > $@.part && mv $@.part $@

EXTRA_CLEAN = $(EXT_SCRIPT) $(EXT_SCRIPT).part

.PHONY: demo test bench lint fuzz
demo test bench lint fuzz:
	tools/$@.sh

.PHONY: test-contracts
test-contracts:
	tools/test_contracts.sh

.PHONY: receiver
receiver:
	$(MAKE) -C contrib/receiver PG_CONFIG=$(PG_CONFIG)
