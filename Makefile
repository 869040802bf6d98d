# Sets up, demonstrates and tests the package on a machine without a ROS distribution: ROS 2 comes from PyPI into a virtual
# environment. `make help` lists the targets. With a distribution, colcon builds it and this file is not needed.

.PHONY: help setup demo test test-sandbox lint clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
MAKEFLAGS += --jobs=2 --no-print-directory --no-builtin-rules

# What a caller may set. PYTHON counts when the environment is made; `make clean` lets it be made anew.
PYTHON ?= /usr/bin/python3
ROS ?= kilted
PYTEST_ARGS ?=

ifeq ($(filter $(ROS),kilted jazzy),)
$(error ROS is '$(ROS)'; expected kilted or jazzy)
endif

VENV := $(if $(filter kilted,$(ROS)),.venv,.venv-$(ROS))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
DONE := $(VENV)/.make
LOG := $(VENV)/log
STEP := ./script/step
INTERFACES := spatialclaw_msgs pypi/tf2_msgs pypi/vision_msgs
INTERFACE_STAMPS := $(foreach package,$(INTERFACES),$(DONE)/$(notdir $(package)).built)

# A distribution that happens to be sourced must not mix with the environment's own.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport RMW_IMPLEMENTATION FASTDDS_BUILTIN_TRANSPORTS FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE
unexport ROS_LOCALHOST_ONLY ROS_DISCOVERY_SERVER ROS_STATIC_PEERS
export ROS_DISTRO := $(ROS)
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
# Nothing reaches, or is reached by, a robot on the same network. Demo and tests take a free ROS_DOMAIN_ID each.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST

help:
	@echo "make setup   make $(VENV): ROS 2 $(ROS) from PyPI, this package and its interfaces"
	@echo "make demo    set up, then ask three questions about a generated room"
	@echo "make test    set up, then run the tests (PYTEST_ARGS=... is handed on)"
	@echo "make test-sandbox   set up, then try every way out of the kernel's sandbox, at every isolation level"
	@echo "make lint    set up, then ruff and mypy"
	@echo "make clean   remove everything that was made"
	@echo "ROS=jazzy uses Jazzy's wheels in .venv-jazzy; PYTHON=... makes the environment with another Python"

setup: $(DONE)/package $(DONE)/interfaces

demo: setup
	@$(BIN)/spatialclaw demo

test: setup
	@$(BIN)/python -m pytest -m "$(if $(filter jazzy,$(ROS)),ros and )not sandbox" $(PYTEST_ARGS)

test-sandbox: setup
	@$(BIN)/python -m pytest -m sandbox test/kernel $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf .venv .venv-jazzy build install log dist out *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DONE)/environment:
	@./script/check_prerequisites "$(PYTHON)"
	@echo "Setting up $(VENV) (ROS 2 $(ROS)); this takes one to three minutes"
	@mkdir -p $(DONE) $(LOG)
	@$(STEP) $(LOG)/environment.log "virtual environment" "$(PYTHON)" -m venv $(VENV)
	@# Ubuntu 22.04's pip has no --config-settings, Debian 12's builds EmPy the old way.
	@$(STEP) $(LOG)/pip.log "pip" $(PIP) install --upgrade "pip>=24"
	@touch $@

$(DONE)/ros: pypi/requirements-$(ROS).txt $(DONE)/environment
	@$(STEP) $(LOG)/ros.log "ROS 2 $(ROS) from PyPI" $(PIP) install -r $<
	@touch $@

$(DONE)/package: setup.py setup.cfg $(DONE)/ros
	@$(STEP) $(LOG)/package.log "this package and what it needs" $(PIP) install --no-build-isolation --editable ".[test]"
	@touch $@

# The build finds the environment's CMake, Ninja and generators before the system's.
$(INTERFACE_STAMPS): private export PATH := $(CURDIR)/$(BIN):$(PATH)

# Interfaces are built beside the package's installation and installed after it, one pip at a time.
define interface_rule
$(DONE)/$(notdir $(1)).built: $(DONE)/ros pypi/ros_wheels.cmake $(wildcard $(addprefix $(1)/,CMakeLists.txt package.xml pyproject.toml *.md action/* msg/* srv/*))
	@rm -rf $(VENV)/wheels/$(notdir $(1))
	@$(STEP) $(LOG)/$(notdir $(1)).log "$(notdir $(1))" $(PIP) wheel --no-build-isolation --no-deps --no-index \
		--config-settings=build-dir=$(CURDIR)/$(VENV)/build/$(notdir $(1)) --wheel-dir $(VENV)/wheels/$(notdir $(1)) ./$(1)
	@touch $$@
endef
$(foreach package,$(INTERFACES),$(eval $(call interface_rule,$(package))))

$(DONE)/interfaces: $(INTERFACE_STAMPS) $(DONE)/package
	@$(STEP) $(LOG)/interfaces.log "interfaces" $(PIP) install --no-deps --no-index --force-reinstall $(VENV)/wheels/*/*.whl
	@touch $@
