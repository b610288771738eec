"""The same verbs over HTTP: decompose, edit, export, with jobs and documents that outlive the process."""
