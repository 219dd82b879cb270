"""Durable rows: tables, statements by aggregate, and the engines that run them."""
