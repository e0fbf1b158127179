dataset_info = dict(
    dataset_name='stick',
    keypoint_info={
        0: dict(name='top', id=0, color=[255, 0, 0], type='upper', swap=''),
        1: dict(name='left_end', id=1, color=[0, 255, 0], type='lower', swap='right_end'),
        2: dict(name='right_end', id=2, color=[0, 0, 255], type='lower', swap='left_end'),
    },
    skeleton_info={
        0: dict(link=('top', 'left_end'), id=0, color=[255, 255, 0]),
        1: dict(link=('top', 'right_end'), id=1, color=[0, 255, 255]),
    },
    joint_weights=[1.0, 1.0, 1.0],
    sigmas=[0.05, 0.05, 0.05])
