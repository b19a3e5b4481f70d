"""The synthetic corpus `demo`: parametric faces, voices, ECG and transcripts of known valence and arousal.

Everything here works on numpy arrays and knows neither torch nor the rest of fusekit, so that the processes
that make the corpus start fast. `settings` what is made; `signals` the latent dimensions and how faces and
voices express them; `schedules` when what is damaged or absent; `faces`, `drawing`, `picture_damage` the
picture; `voices`, `sound_damage` the sound; `clips` puts one subject together; `writing` makes the files.
`hearts`, `ecg_damage` the ECG; `lexicon`, `transcripts` the words; `streams` puts these together, and
`stream_writing` makes their files.
"""
