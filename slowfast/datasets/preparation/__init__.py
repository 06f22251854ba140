"""What the tools of ``tools/prepare`` do: make and merge lists, check and transcode videos."""
