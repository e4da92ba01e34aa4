"""``dfl report``: tables, pictures and a plain answer, from the folders that runs leave behind."""
