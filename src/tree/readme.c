/*
 * README.txt at the root of the mount: what somebody needs who finds the mount and nothing else.
 */
#include "tree_private.h"

static const char readme_text[] =
    "This directory generates videos with ByteDance Seedance 2.0.\n"
    "\n"
    "Make one: write a request into the prompt.json of a new job (this costs money, once):\n"
    "\n"
    "    echo '{\"prompt\": \"A cat surfing at sunset\"}' > jobs/cat/prompt.json\n"
    "\n"
    "Follow it:           cat jobs/cat/status\n"
    "Watch the result:    mpv jobs/cat/output.mp4      (there once status says succeeded)\n"
    "Keep a copy:         cp jobs/cat/output.mp4 ~/\n"
    "What is wrong:       cat jobs/cat/error           (there only while something is wrong)\n"
    "\n"
    "In each job\n"
    "    prompt.json    the request: write it and close it, and it is submitted; then read-only\n"
    "    request.json   what was sent, defaults filled in\n"
    "    response.json  the service's last answer\n"
    "    status         draft invalid waiting submitting unknown rejected queued running "
    "succeeded\n"
    "                   failed cancelled expired lost\n"
    "    status.json    everything that is known, as one JSON object\n"
    "    cost           estimated or actual cost\n"
    "    error          what is wrong and what to do about it\n"
    "    log            what happened when\n"
    "    ctl            write a command: submit, retry, adopt TASK_ID, refresh,\n"
    "                   fetch (save the video now), evict (drop what can be fetched again)\n"
    "    output.mp4     the video, fetched as it is read\n"
    "    output.url     its address at the service, for the owner alone, until it expires\n"
    "    cover.jpg      a still picture, if the service made one\n"
    "    (your files)   notes, drafts, and images that prompt.json names\n"
    "\n"
    "Fields of prompt.json (all but prompt may be left out)\n"
    "    prompt         what to show\n"
    "    model          doubao-seedance-2.0 or doubao-seedance-2.0-fast\n"
    "    duration       4 to 15 (seconds)\n"
    "    resolution     480p or 720p\n"
    "    aspect_ratio   adaptive 16:9 9:16 1:1 4:3 3:4 21:9\n"
    "    image_url, image_urls, video_url, video_urls, audio_url, audio_urls\n"
    "                   references: addresses, or names of images and audio in the job's "
    "directory\n"
    "    generate_audio true or false            watermark      true or false\n"
    "\n"
    "Money: only closing a written prompt.json (or renaming a file onto it) spends any. Reading,\n"
    "listing, copying out and removing never do. A request that may have reached the service is "
    "never\n"
    "sent a second time by itself.\n"
    "What was spent: spend.json.\n"
    "Remove a job: rm -r jobs/cat. Its task and cost stay in the records.\n";

int readme_render(struct tree *tree UNUSED, struct buf *out)
{
    return buf_add(out, readme_text, sizeof(readme_text) - 1);
}
