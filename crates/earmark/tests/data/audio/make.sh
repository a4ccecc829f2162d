#!/bin/sh
# Makes the encoded files of this folder from one synthetic sound, half a second of a chirp from
# 200 Hz to 3 kHz: 0.5·sin(2π(200t + 2800t²)). The right channel of stereo files is half as loud
# and has the other sign.
#
# Made with Debian 12's ffmpeg 5.1.9, flac 1.4.2, lame 3.100, vorbis-tools 1.4.2, opus-tools 0.2,
# sox 14.4.2:
#   apt-get install ffmpeg flac lame vorbis-tools opus-tools sox && sh make.sh
# The tests compare the decoded samples with the formula, so other versions serve as well.
set -eu
cd "$(dirname "$0")"
chirp='0.5*sin(2*PI*(200*t+2800*t*t))'
quiet='-hide_banner -loglevel error -y'
wav=$(mktemp -d)
trap 'rm -rf "$wav"' EXIT
tone() { # rate, expression, name
    ffmpeg $quiet -f lavfi -i "aevalsrc=$2:s=$1:d=0.5" -c:a pcm_s16le "$wav/$3.wav"
}
tone 44100 "$chirp" mono44
tone 16000 "$chirp" mono16
tone 48000 "$chirp" mono48
tone 16000 "$chirp|-0.5*$chirp" stereo16
tone 48000 "$chirp|-0.5*$chirp" stereo48
tone 48000 "$chirp|$chirp|$chirp|0.9*sin(2*PI*60*t)|$chirp|$chirp:c=5.1" surround48

flac --silent --force --best --no-padding --no-seektable -o mono.flac "$wav/mono16.wav"
flac --silent --force --best --no-padding --no-seektable -o stereo.flac "$wav/stereo16.wav"
flac --silent --force --best --no-padding --no-seektable --ogg -o flac.ogg "$wav/mono16.wav"
lame --quiet -b 64 "$wav/mono44.wav" cbr.mp3
lame --quiet -V 6 "$wav/stereo48.wav" vbr.mp3
lame --quiet -t -b 64 "$wav/mono44.wav" no-header.mp3
lame --quiet -b 64 "$wav/mono16.wav" mpeg2.mp3
oggenc --quiet -q 5 -o vorbis.ogg "$wav/mono44.wav"
opusenc --quiet --bitrate 64 "$wav/mono48.wav" mono.opus
opusenc --quiet --bitrate 96 "$wav/stereo48.wav" stereo.opus
opusenc --quiet --bitrate 192 "$wav/surround48.wav" surround.opus
ffmpeg $quiet -i "$wav/mono44.wav" -c:a aac -b:a 96k -fflags +bitexact aac.m4a
ffmpeg $quiet -i "$wav/mono44.wav" -c:a aac -b:a 96k -movflags +faststart -fflags +bitexact aac-faststart.m4a
ffmpeg $quiet -i "$wav/mono44.wav" -c:a aac -b:a 96k -fflags +bitexact aac.aac
ffmpeg $quiet -i "$wav/mono16.wav" -c:a alac -fflags +bitexact alac.m4a
ffmpeg $quiet -i "$wav/mono16.wav" -c:a alac -fflags +bitexact alac.caf
ffmpeg $quiet -i "$wav/mono48.wav" -c:a libopus -b:a 64k -fflags +bitexact opus.webm
ffmpeg $quiet -i "$wav/mono44.wav" -c:a libvorbis -q:a 5 -fflags +bitexact vorbis.mka
ffmpeg $quiet -i "$wav/mono16.wav" -c:a flac -fflags +bitexact flac.mka
sox "$wav/mono16.wav" -e ima-adpcm ima.wav
sox "$wav/stereo16.wav" -e ima-adpcm ima-stereo.wav
sox "$wav/mono16.wav" -e ms-adpcm ms.wav
sox "$wav/stereo16.wav" -e ms-adpcm ms-stereo.wav
