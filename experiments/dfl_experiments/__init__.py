"""The command line ``dfl``: configurations, runs, tables and figures."""
