"""The store: outputs under keys. An output exists once its manifest is written."""
