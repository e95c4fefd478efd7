# SPDX-License-Identifier: BSD-3-Clause
# Thin: every target first installs what it lacks (tools/setup), then calls the tool that does
# the work. meson and ninja build; everything they make lies below build/.

# `make run SHELL=1` asks for a shell in the guest, but SHELL is also what make runs recipes with.
guest_shell := $(if $(filter command,$(firstword $(origin SHELL))),$(SHELL))
override SHELL := /bin/sh

TIME ?= 60
PREFIX ?= /usr/local
prefix ?= $(PREFIX)

build:
	@tools/setup build
	@tools/build release
	@guest/conform/build >/dev/null

run:
	@tools/setup run
	@GUEST_SHELL='$(guest_shell)' examples/demo/run

check:
	@tools/setup check arm64 lint
	@tools/check

bench: build
	@tools/setup bench
	@tests/bench/block
	@tests/bench/net
	@tests/bench/switch
	@tests/bench/can
	@tests/bench/vsock
	@tests/bench/monitor-start

lint:
	@tools/setup lint
	@tools/lint

fuzz:
	@tools/setup check
	@tools/fuzz '$(TIME)'

lab:
	@tools/setup lab
	@tests/lab/run

# What a vendor needs to test a hypervisor, in one directory.
conform-release:
	@tools/setup build arm64
	@tools/conform-release

# What is installed names the places of the rest: another prefix is another build.
install: build
	@meson configure build/release --prefix='$(prefix)' >/dev/null
	@tools/build release
	@meson install --no-rebuild -C build/release

clean:
	rm -rf build

help:
	@echo 'make             builds avp: build/release/avp'
	@echo 'make run         boots a Linux guest on the devices of AVP and shows them at work'
	@echo 'make run SHELL=1 the same, and leaves a shell in the guest'
	@echo 'make check       formatting, compilers, unit tests, sanitizers, corpora, static analysis, boots'
	@echo 'make bench       measures against other device processes, side by side'
	@echo 'make lint        static analysis'
	@echo 'make fuzz        fuzzes each target for TIME=60 seconds'
	@echo 'make lab         whole guests: every script under tests/lab'
	@echo 'make install     installs below prefix=/usr/local; DESTDIR is honoured'
	@echo 'make conform-release  images, log reader and adapters for those who test a hypervisor'
	@echo 'make clean       removes build/'

.PHONY: build run check bench lint fuzz lab conform-release install clean help
.DEFAULT_GOAL := build
