# Supercloud: the only makefile.  `make help` is the table of contents.
# The `library` and `program` lines below are the architecture: who may use whom.

O ?= build
CC ?= gcc
T ?=
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
cflags := -std=gnu17 -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
  $(warnings) -D_GNU_SOURCE -Idaemons -Iconsole -I. -I$O/gen -DSC_VERSION='"$(VERSION)"'
sanflags := -std=gnu17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize-recover=all $(warnings) -Wno-stringop-overread -Wno-stringop-overflow \
  -Wno-maybe-uninitialized -D_GNU_SOURCE -Idaemons -Iconsole -I. -I$O/gen \
  -DSC_VERSION='"test"' -DSC_TEST
ldflags := -pie -Wl,-z,relro,-z,now
# Local additions, e.g. make CFLAGS_EXTRA=-fsanitize=thread
cflags += $(CFLAGS_EXTRA)
ldflags += $(CFLAGS_EXTRA)

libraries :=
programs :=
# $(1): library, $(2): its folder, $(3): the libraries it may use.
define library
libraries += $(1)
dir_$(1) := $(2)
src_$(1) := $$(sort $$(filter-out %/main.c,$$(wildcard $(2)/*.c)))
uses_$(1) := $(1) $$(foreach l,$(3),$$(uses_$$(l)))
$O/lib$(1).a: $$(src_$(1):%.c=$O/%.o)
	@rm -f $$@ && ar rcs $$@ $$^
$O/san/lib$(1).a: $$(src_$(1):%.c=$O/san/%.o)
	@rm -f $$@ && ar rcs $$@ $$^
$O/fuzz/lib$(1).a: $$(src_$(1):%.c=$O/fuzz/%.o)
	@rm -f $$@ && ar rcs $$@ $$^
endef
# $(1): program, $(2): the library its main.c lies beside, $(3): system libraries.
define program
programs += $O/bin/$(1)
all: $O/bin/$(1)
$O/bin/$(1): $O/$$(dir_$(2))/main.o $$(foreach l,$$(uses_$(2)),$O/lib$$(l).a)
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$(CC) $$(ldflags) -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(3)
endef

sys_common := -lcjson -lsystemd -lssl -lcrypto -llmdb -lwslay -lpthread -lm

$(eval $(call library,common,daemons/common))
$(eval $(call library,model,daemons/model,common))
$(eval $(call library,hypervisor,daemons/hypervisor,model))
$(eval $(call library,provider,daemons/provider,model))
$(eval $(call library,scheduler,daemons/scheduler,model))
$(eval $(call library,http,console/http,model))
$(eval $(call library,api,console/api,http))
$(eval $(call library,cli,console/cli,model))
$(eval $(call library,controller,daemons/controller,api scheduler))
$(eval $(call library,network,daemons/network,model))
$(eval $(call library,node,daemons/node,hypervisor))
$(eval $(call library,storage,daemons/storage,model))
$(eval $(call library,join,daemons/join,model))
$(eval $(call library,wan,daemons/wan,common))

# Parts not there yet are left out while the tree grows.
all:
have = $(wildcard $(1)/main.c)
$(if $(call have,daemons/controller),$(eval $(call program,sc-controller,controller,$(sys_common) -lcurl -lsodium -lz)))
$(if $(call have,daemons/network),$(eval $(call program,sc-network,network,$$(ovs_lib) $(sys_common) -latomic)))
$(if $(call have,daemons/node),$(eval $(call program,sc-node,node,$(sys_common) -lzstd -lxenlight -lxentoollog -lxenstore -lxenctrl -lxenguest)))
$(if $(call have,daemons/storage),$(eval $(call program,sc-storage,storage,$(sys_common) -luring -lzstd)))
$(if $(call have,daemons/join),$(eval $(call program,sc-join,join,$(sys_common) -lcurl)))
$(if $(call have,daemons/provider),$(eval $(call program,sc-provider,provider,$(sys_common) -lcurl -lexpat)))
$(if $(call have,daemons/wan),$(eval $(call program,sc-wan,wan,$(sys_common))))
$(if $(call have,console/cli),$(eval $(call program,supercloud,cli,$(sys_common) -lcurl)))

-include $(wildcard $(patsubst %,$O/%/*.d,daemons/* console/* tests/lib) $(patsubst %,$O/san/%/*.d,daemons/* console/* tests/unit/* tests/lib))

$O/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(cflags) $(cflags_$(patsubst %/,%,$(dir $<))) -MMD -MP -c -o $@ $<
$O/san/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC san  $<"
	@$(CC) $(sanflags) $(cflags_$(patsubst %/,%,$(dir $<))) -MMD -MP -c -o $@ $<

##@ Embedded files: the front end (WEB=0 leaves it out) and the OpenAPI file, into libhttp.
WEB ?= $(if $(wildcard console/web/package.json),1,0)
web_src := $(if $(filter 1,$(WEB)),$(shell find console/web -name node_modules -prune -o -name dist -prune -o -type f -print))
$O/web/index.html: $(web_src)
	@echo "  WEB     $(@D)"
	@console/web/build $(@D)
	@touch $@
$O/gen/http_assets.c: console/http/embed console/api/openapi.json $(if $(filter 1,$(WEB)),$O/web/index.html)
	@mkdir -p $(@D)
	@console/http/embed $@ /openapi.json=console/api/openapi.json $(if $(filter 1,$(WEB)),$O/web)
$O/gen/http_assets.o: $O/gen/http_assets.c
	@$(CC) $(cflags) -MMD -MP -c -o $@ $<
# Unit tests need no front end: an asset of each kind, compiled in at once.
$O/san/gen/http_assets.c: console/http/embed console/api/openapi.json
	@mkdir -p $(@D)
	@console/http/embed $@ /openapi.json=console/api/openapi.json
$O/san/gen/http_assets.o: $O/san/gen/http_assets.c
	@$(CC) $(sanflags) -MMD -MP -c -o $@ $<
# civetweb: Debian's binary cannot do TLS with OpenSSL 3 (console/http/build-civetweb).
$O/civetweb/civetweb.o: console/http/build-civetweb
	@console/http/build-civetweb $(@D)
cflags_console/http := -I$O/civetweb
$O/console/http/server.o $O/san/console/http/server.o: | $O/civetweb/civetweb.o
$O/libhttp.a: $O/gen/http_assets.o $O/civetweb/civetweb.o
$O/san/libhttp.a: $O/san/gen/http_assets.o $O/civetweb/civetweb.o
# The console in front of a cluster in memory, for tests and the front end.
fake_src := $(wildcard tests/lib/fake_*.c)
all: $O/bin/sc-fake-console
$O/bin/sc-fake-console: $(fake_src:%.c=$O/%.o) $(foreach l,$(uses_api),$O/lib$l.a)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ldflags) -o $@ -Wl,--start-group $^ -Wl,--end-group $(sys_common) -lsodium -lz
$O/san/libfake.a: $(patsubst %.c,$O/san/%.o,$(filter-out %/fake_console.c,$(fake_src)))
	@rm -f $@ && ar rcs $@ $^

# libopenvswitch, from the distribution's source; only of_*.c see its headers.
ovs_lib := $O/openvswitch/libopenvswitch.a
cflags_daemons/network := -isystem $O/openvswitch/include -isystem $O/openvswitch/lib
cflags_tests/unit/network := $(cflags_daemons/network)
$(ovs_lib): daemons/network/build-openvswitch
	@$< $(@D)
	@echo '$(cflags_daemons/network)' >$O/ovs.cflags # For tests/lint.
$(foreach o,$O $O/san $O/fuzz,$(patsubst %.c,$o/%.o,$(wildcard daemons/network/of_*.c tests/unit/network/test_of_*.c))): | $(ovs_lib)

# The controller as sc-network sees it, and node/ovs.h by hand: for tests of the network.
all: $O/bin/sc-net-controller $O/bin/sc-ovs-wire
$O/bin/sc-net-controller: $O/tests/lib/net_controller.o $O/libcommon.a
$O/bin/sc-ovs-wire: $O/tests/lib/ovs_wire.o $O/daemons/node/ovs.o $O/daemons/node/ovs_diff.o $O/libcommon.a
$O/bin/sc-net-controller $O/bin/sc-ovs-wire:
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ldflags) -o $@ $^ $(sys_common)

# The controller as sc-storage sees it: the real authority alone, for tests.
all: $O/bin/sc-storage-authority
$O/bin/sc-storage-authority: $O/tests/lib/storage_authority.o $O/daemons/controller/authority.o $O/libmodel.a $O/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(ldflags) -o $@ $^ $(sys_common)

##@ Unit tests: tests/unit/X/test_Y.c tests Y.c of library X; T=Y runs one.
unit_src := $(wildcard tests/unit/*/test_$(or $(T),*).c)
unit_bin := $(unit_src:%.c=$O/%)
sys_unit_network = $(ovs_lib) -latomic
sys_unit := -lcriterion $(sys_common) -lcurl -lexpat -lsodium -lz -lzstd -luring -lxenlight -lxentoollog -lxenstore -lxenctrl -lxenguest
$(filter $O/tests/unit/api/%,$(unit_bin)): $O/san/libfake.a
.SECONDEXPANSION:
$(unit_bin): $O/tests/unit/%: $O/san/tests/unit/%.o $$(foreach l,$$(uses_$$(firstword $$(subst /, ,$$*))),$O/san/lib$$(l).a)
	@mkdir -p $(@D)
	@echo "  LD san  $@"
	@$(CC) -fsanitize=address,undefined -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(sys_unit_$(firstword $(subst /, ,$*))) $(sys_unit)

##@ Fuzzing: tests/fuzz/fuzz_X.c, linked with the libraries whose headers it includes.
fuzz_bin := $(patsubst tests/fuzz/%.c,$O/fuzz/bin/%,$(wildcard tests/fuzz/fuzz_$(or $(T),*).c))
fuzz_dirs = $(shell sed -nE 's,^\#include "(console/)?([a-z]+)/.*,\2,p' $(1))
$O/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC fuzz $<"
	@clang $(filter-out -fsanitize=% -O1,$(sanflags)) -O1 -fsanitize=fuzzer-no-link,address,undefined \
	  -Wno-unknown-warning-option $(cflags_$(patsubst %/,%,$(dir $<))) -MMD -MP -c -o $@ $<
$(fuzz_bin): $O/fuzz/bin/%: $O/fuzz/tests/fuzz/%.o \
  $$(foreach l,$$(sort $$(foreach d,$$(call fuzz_dirs,tests/fuzz/$$*.c),$$(uses_$$d))),$O/fuzz/lib$$(l).a)
	@mkdir -p $(@D)
	@echo "  LD fuzz $@"
	@clang -fsanitize=fuzzer,address,undefined -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
	  $(if $(findstring libnetwork.a,$^),$(sys_unit_network)) $(filter-out -lcriterion,$(sys_unit))
fuzz-build: $(fuzz_bin)

##@ What people run
SC_CACHE ?= $(HOME)/.cache/supercloud
export SC_CACHE
export SC_BUILD = $(abspath $O)
deps := $O/.deps

$(deps): tests/lib/host-packages.list tests/lib/install-packages
	@tests/lib/install-packages
	@mkdir -p $O && touch $@

.PHONY: all help demo demo-down dev dev-down check check-e2e check-images check-mutants check-oracles lint unit integration console-tests \
  bench fuzz image guest hypervisor deps clean
help:                  ## this table
	@echo "Supercloud: your own cloud above all the others.  make TARGET [VARIABLE=value]"
	@sed -nE 's/^([a-z][a-z0-9-]*):[^#]*## (.*)/\1 \2/p' Makefile | while read -r t text; do printf '  %-16s %s\n' "$$t" "$$text"; done
	@echo "Variables: O=build (output folder), T=name (one test), SC_CACHE=folder (slow artefacts)"

demo: $(deps)          ## two emulated providers, a VM that live-migrates between them (RTT= LOSS= RATE= PROVIDERS=ec2,gce)
	@tests/demo/demo up
demo-down:             ## ends the demo, leaves no process and no mount behind
	@tests/demo/demo down
dev: $(deps)           ## the same Supercloud as plain processes, in seconds
	@$(MAKE) --no-print-directory all guest
	@tests/lib/dev up
dev-down:              ## ends it
	@tests/lib/dev down
check: $(deps)         ## lint, unit, integration, console in Chromium, the demo with one migration; T=name runs one
	@tests/lib/timed "programs" $(MAKE) --no-print-directory -j2 all
	@tests/lib/timed "unit tests" $(MAKE) --no-print-directory -j2 unit-build
	@tests/lib/timed "guest image" $(MAKE) --no-print-directory guest
	@SC_QUICK=1 tests/run $(if $(T),--only $(T)) e2e unit integration console $(if $(T),,lint)
check-e2e: $(deps)     ## the whole demo with five migrations, and the image's boot tests
	@$(MAKE) --no-print-directory -j2 all
	@tests/run $(if $(T),--only $(T)) e2e
check-images: $(deps)  ## each provider's image boots on hardware like its provider's, joins, runs a guest
	@tests/lib/install-packages tests/lib/image-packages.list
	@$(MAKE) --no-print-directory -j2 all guest
	@tests/run $(if $(T),--only $(T)) images
check-mutants: $(deps) ## takes the handling of each bad day out: its test must fail then
	@$(MAKE) --no-print-directory -j2 all guest
	@tests/mutants $(T)
check-oracles: $(deps) ## emulated GCE and Azure and our requests to them, against independent clients (Debian packages)
	@$(MAKE) --no-print-directory -j2 all
	@tests/lib/fetch-oracles
	@tests/run $(if $(T),--only $(T)) oracles
check-openstack: $(deps) ## sc-provider's whole journey against real OpenStack services, all on loopback (Debian packages)
	@$(MAKE) --no-print-directory -j2 all
	@tests/lib/install-packages tests/lib/openstack-packages.list
	@tests/run $(if $(T),--only $(T)) openstack
lint: $(deps)          ## layout, clang-tidy, cppcheck, the repository's rules
	@tests/run lint
unit: $(deps) unit-build   ## unit tests alone
	@tests/run $(if $(T),--only $(T)) unit
unit-build: $(unit_bin)
integration: $(deps) all   ## integration tests alone
	@tests/run $(if $(T),--only $(T)) integration
console-tests: $(deps) all ## the console in Chromium alone
	@tests/run console
bench: $(deps) all     ## every benchmark, against its peer in the same run
	@for b in tests/bench/bench_*; do "$$b" || exit 1; done
fuzz: $(deps) fuzz-build ## every decoder for FUZZ_TIME seconds (default 30)
	@tests/fuzz/run $(fuzz_bin)
image: $(deps)         ## an appliance image: PROVIDER=local|ec2|gce|azure|rackspace|rackspace-classic DISTRO=centos|debian
	@$(if $(filter debian,$(DISTRO)),,tests/lib/install-packages tests/lib/image-packages.list)
	@$(MAKE) --no-print-directory -j2 all
	@images/build --bin $O/bin --provider $(or $(PROVIDER),local) --distro $(or $(DISTRO),centos)
guest:                 ## the small guest of demo and tests
	@images/guest/build --output $O/guest
hypervisor:            ## Xen-Blanket into the cache
	@appliance/blanket/build
clean:                 ## removes the output folder, not the caches
	rm -rf $O
