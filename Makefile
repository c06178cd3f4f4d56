# seedancefs: `make demo` and `make test` do everything on a fresh Debian or Ubuntu machine.
# Variants live side by side under build/: `make V=asan`, `make V=clang`, `make V=checked`.
# SHOW=1 shows the commands.

VERSION := 0.2.0
V       ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
SHOW    ?= 0
Q       := $(if $(filter 1,$(SHOW)),,@)
say     = $(if $(filter 1,$(SHOW)),@:,@printf '  %-7s %s\n')

LAYERS := base net objects prompt api store share job media tree fuse app
# Which layers a layer's unit tests may link: the table of docs/ARCHITECTURE.md, lowest last.
below_base   := base
below_net    := net base
below_objects := objects net base
below_prompt := prompt base
below_api    := api net base
below_store  := store base
below_share  := share store net base
below_media  := media net base
below_job    := job prompt api store net base
below_tree   := tree job media objects prompt api store net base
below_fuse   := fuse tree job media objects prompt api store net base
below_app    := app fuse tree job media share objects prompt api store net base
below_sim    := sim base

out := $(if $(filter release,$(V)),build,build/$(V))
SHARE ?= $(out)/share
DEB   ?= $(abspath $(out))/deb
obj := build/obj/$(V)

CC_release := gcc
CC_checked := gcc
CC_asan    := gcc
CC_clang   := clang
CC_fuzz    := clang
CC         := $(or $(CC_$(V)),gcc)
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
FLAGS_checked := -O2 -g1 -DSEEDANCEFS_CHECKS
FLAGS_clang   := -O2 -g
FLAGS_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=all -DSEEDANCEFS_CHECKS
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=all -DSEEDANCEFS_CHECKS
# What tests/unit is compiled with: cmocka's asserts expand to so much that optimizing them and
# looking for undefined behaviour in them takes longer than all else together. cmocka 2 wants
# another assert_in_range(), which cmocka 1 has not.
flags      = $(FLAGS_$(V))
unit_flags = -O0 -g1 $(filter -fno-omit% -DSEEDANCEFS%,$(FLAGS_$(V))) \
             $(if $(findstring address,$(FLAGS_$(V))),-fsanitize=address) \
             -DCMOCKA_DISABLE_DEPRECATION_WARNINGS
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wformat=2 -Wvla -Wcast-qual -Wwrite-strings \
            -Wswitch-enum -Wpointer-arith -Wimplicit-fallthrough
packages := fuse3 libcurl libcjson sqlite3 libcrypto
# Its header alone: the library is loaded when several hosts share a tree.
has_libpq    := $(shell pkg-config --exists libpq 2>/dev/null && echo yes)
libpq_cflags := $(if $(has_libpq),$(shell pkg-config --cflags libpq | sed 's/-I/-isystem /g'))
# Asked once, and only where something is compiled.
has_packages = $(shell pkg-config --exists $(packages) 2>/dev/null && echo yes)
pkg_cflags = $(if $(has_packages),,$(error libraries are missing: run 'make deps' first, which \
             installs them on Debian and Ubuntu ($(packages))))$(eval pkg_cflags := $(shell \
             pkg-config --cflags $(packages) | sed 's/-I/-isystem /g'))$(pkg_cflags)
pkg_libs   = $(eval pkg_libs := $(shell pkg-config --libs $(packages)) -lm)$(pkg_libs)

CFLAGS  ?=
LDFLAGS ?=
all_cflags = -std=c17 -D_GNU_SOURCE -DSEEDANCEFS_VERSION='"$(VERSION)"' -DFUSE_USE_VERSION=35 \
             -Iinclude -Isrc $(pkg_cflags) $(libpq_cflags) $(WARNINGS) $(flags) \
             -fstack-protector-strong -fPIE -MMD -MP $(CFLAGS)
all_ldflags = $(filter -fsanitize%,$(FLAGS_$(V))) -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# Links the many test programs in half the time; Debian 12 has it with the compiler.
gold = $(if $(wildcard /usr/bin/ld.gold),-fuse-ld=gold)

# Without libpq's header its layer is one file, which says so.
left_out = $(if $(has_libpq),src/share/without.c,$(filter-out src/share/without.c,$(wildcard src/share/*.c)))
objects  = $(patsubst %.c,$(obj)/%.o,$(filter-out $(left_out),$(sort $(wildcard src/$(1)/*.c))))
archives = $(patsubst %,$(obj)/lib%.a,$(1))

unit_sources := $(sort $(wildcard tests/unit/*/test_*.c))
unit_tests   := $(patsubst tests/unit/%.c,$(out)/unit/%,$(unit_sources)) $(out)/unit/simulation

fuzz_sources := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_targets := $(patsubst tests/fuzz/%.c,$(out)/%,$(fuzz_sources))

.PHONY: all demo test test-studio check unit unit-build simulate fuzz fuzz-build fuzz-targets e2e bench campaign matrix broken
.PHONY: warnings asan lint share deb install uninstall clean deps check-deps test-deps format
.SECONDARY:
.DEFAULT_GOAL := all

all: $(out)/seedancefs $(out)/seedance-sim

$(obj)/tests/unit/%.o $(obj)/tests/unit/%.read: flags = $(unit_flags)

$(obj)/%.o: %.c
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -c $< -o $@

# The embedded clips are read by the assembler, which -MMD does not see.
$(obj)/src/sim/clips.o: $(wildcard tests/media/*.mp4 tests/media/*.jpg)

$(obj)/src/share/schema.o: src/share/schema.sql
$(obj)/src/tree/index.o: src/tree/index.html
$(obj)/src/tree/texts.o: $(wildcard src/tree/texts/* src/tree/texts/schema/*)
$(obj)/src/prompt/model.o: $(wildcard src/prompt/models/*.json)

define layer_archive
$(obj)/lib$(1).a: $(call objects,$(1))
	$(say) AR lib$(1).a
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach layer,$(LAYERS) sim,$(eval $(call layer_archive,$(layer))))

$(out)/seedancefs: $(call objects,app) $(call archives,$(filter-out app,$(below_app)))
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_ldflags) -o $@ $^ $(pkg_libs)

$(out)/seedance-sim: $(call objects,sim) $(call archives,base)
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_ldflags) -o $@ $^ -lmicrohttpd -lcjson -lcrypto -lpthread -lm

define unit_layer
$(out)/unit/$(1)/%: $(obj)/tests/unit/$(1)/%.o $(call archives,$(below_$(1)))
	$$(say) LD $$@
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC) $$(all_ldflags) -o $$@ $$^ $$(pkg_libs) -lcmocka -lpthread $(if $(filter sim,$(1)),-lmicrohttpd)
endef
$(foreach layer,$(LAYERS) sim,$(eval $(call unit_layer,$(layer))))

# What the torture preloads into the daemon: see tests/tools/failing.h.
$(out)/failing.so: tests/tools/failing.c tests/tools/failing.h
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE $(WARNINGS) -O2 -g -shared -fPIC -o $@ $<

# libFuzzer brings the main(); only clang has it.
$(out)/fuzz_%: $(obj)/tests/fuzz/fuzz_%.o $(call archives,$(filter-out fuse app,$(below_app)))
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=fuzzer $(all_ldflags) -o $@ $^ $(pkg_libs) -lcmocka

# The core in virtual time, on a disk and a network in memory: see tests/simulation/world.h.
$(out)/unit/simulation: $(patsubst %.c,$(obj)/%.o,$(sort $(wildcard tests/simulation/*.c))) \
                        $(call archives,$(below_job))
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_ldflags) $(gold) -Wl,--wrap=api_create,--wrap=file_write_full -o $@ $^ $(pkg_libs) -lcmocka -lpthread

# Every file through clang, for its warnings alone: make V=clang warnings
$(obj)/%.read: %.c
	$(say) CLANG $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -MF $(@:.read=.d) -MT $@ -fsyntax-only $<
	$(Q)touch $@

warnings: $(patsubst %.c,$(obj)/%.read,$(sort $(wildcard src/*/*.c tests/*/*.c tests/unit/*/*.c)))

-include $(shell find build/obj/$(V) -name '*.d' 2>/dev/null)

# What building needs, and what testing needs as well.
deps:
	$(Q)scripts/install-deps.sh --build

check-deps:
	$(Q)scripts/install-deps.sh --check

test-deps:
	$(Q)scripts/install-deps.sh

# Installing may add the very headers that this make has looked for: build in a second make.
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo.sh

test: test-deps
	$(Q)scripts/run-tests.sh

# The object store of Ceph, and what else needs servers that are too heavy for `make test`.
test-studio: test-deps
	$(Q)scripts/install-deps.sh --studio
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/run-e2e.sh $(out) tests/studio/*.bats

# What a developer runs before each commit.
check: check-deps
	$(Q)scripts/run-tests.sh check

unit-build: $(unit_tests)

unit: $(unit_tests)
	$(Q)scripts/run-unit.sh $(unit_tests)

# Targets that read what comes from outside, over every input that was worth keeping.
fuzz-targets: $(fuzz_targets)

fuzz-build:
	$(Q)$(MAKE) --no-print-directory V=fuzz fuzz-targets

fuzz: fuzz-build
	$(Q)scripts/run-fuzz.sh replay

# Many seeds: SEEDS=n FIRST=n JOBS=n. One that breaks a promise is printed, with how to see its story.
simulate: $(out)/unit/simulation
	$(Q)SEEDS=$(or $(SEEDS),20000) JOBS=$(or $(JOBS),$(shell nproc)) $<

e2e: all
	$(Q)scripts/run-e2e.sh $(out) $(TESTS)

# Address and undefined behaviour sanitizers over the unit and the end-to-end tests.
asan: test-deps
	$(Q)$(MAKE) --no-print-directory V=asan all unit
	$(Q)scripts/run-e2e.sh build/asan

bench:
	$(Q)scripts/install-deps.sh --bench
	$(Q)$(MAKE) --no-print-directory all
	$(Q)code=0; for part in bench bench-reading bench-waiting bench-gallery bench-films bench-frames bench-everyday; do \
	    scripts/$$part.sh $(out) || code=1; done; exit $$code

# What takes too long for every change: see docs/TESTING.md for its parts, its figures and how to run one of them.
campaign: all
	$(Q)scripts/campaign.sh $(out) $(PARTS)

# Debian 12, 13 and sid, each in a system of its own.
matrix:
	$(Q)scripts/matrix.sh $(SUITES)

# Tests that must notice: each patch of tests/broken breaks the program in one place.
broken:
	$(Q)scripts/run-broken.sh $(BROKEN)

lint:
	$(Q)scripts/lint.sh

format:
	$(Q)clang-format -i $$(git ls-files 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]')

# What is installed beside the programs: man pages, completions, units.
share: all
	$(say) GEN $(SHARE)
	$(Q)scripts/packaging/build-share.sh $(out) '$(SHARE)' '$(PREFIX)/bin'

# With sudo nothing of root's stays in build/, where a user's `make clean` could not remove it.
install: all
	$(say) INSTALL $(DESTDIR)$(PREFIX)
	$(Q)share=$$(mktemp -d) && trap 'rm -rf "$$share"' EXIT && \
	    scripts/packaging/build-share.sh $(out) "$$share" '$(PREFIX)/bin' && \
	    PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/packaging/install.sh install $(out) "$$share"

uninstall:
	$(Q)PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/packaging/install.sh uninstall $(out) '$(SHARE)'

# A package of what this machine builds: $(DEB)/seedancefs_VERSION_ARCHITECTURE.deb
deb:
	$(Q)scripts/install-deps.sh --package
	$(Q)$(MAKE) --no-print-directory all
	$(say) DEB $(DEB)
	$(Q)scripts/packaging/build-share.sh $(out) '$(DEB)/share' /usr/bin
	$(Q)scripts/packaging/build-deb.sh $(out) '$(DEB)/share' '$(DEB)' $(VERSION)

clean:
	$(Q)rm -rf build
